/** A place in a list of tokens, with the moves that a reader of declarations needs. */
import type { Token } from "./tokens.ts";

export class TokenCursor {
  readonly #tokens: readonly Token[];
  readonly #file: string;
  #at = 0;

  /** @param file name for error messages */
  constructor(tokens: readonly Token[], file: string) {
    this.#tokens = tokens;
    this.#file = file;
  }

  get ended(): boolean {
    return this.#at >= this.#tokens.length;
  }

  /** The token that is `ahead` of the current one. */
  ahead(count: number): Token | undefined {
    return this.#tokens[this.#at + count];
  }

  skip(): void {
    if (this.ended) this.fail("more");
    this.#at += 1;
  }

  /** Tries `read`; goes back to where it was when it gives null. */
  attempt<T>(read: () => T | null): T | null {
    const start = this.#at;
    const result = read();
    if (result === null) this.#at = start;
    return result;
  }

  skipStatement(): void {
    while (this.#at < this.#tokens.length && !this.peek(";")) {
      const block = this.peek("{");
      this.skipOne();
      if (block && !this.peek("=")) break;
    }
    this.sign(";");
  }

  skipOne(): void {
    if (this.peek("{") || this.peek("(") || this.peek("[")) this.skipBalanced();
    else this.skip();
  }

  skipBalanced(): void {
    let depth = 0;
    do {
      const { value, kind } = this.take();
      if (kind === "text") continue;
      if (value === "{" || value === "(" || value === "[") depth += 1;
      if (value === "}" || value === ")" || value === "]") depth -= 1;
    } while (depth > 0);
  }

  get now(): Token {
    return this.#tokens[this.#at] ?? { kind: "sign", value: "end of file", at: -1 };
  }

  take(): Token {
    this.skip();
    return this.#tokens[this.#at - 1] as Token;
  }

  peek(value: string, ahead = 0): boolean {
    const token = this.#tokens[this.#at + ahead];
    return token !== undefined && token.value === value && token.kind !== "text";
  }

  sign(value: string): boolean {
    const found = this.peek(value);
    if (found) this.#at += 1;
    return found;
  }

  expect(value: string): void {
    if (!this.sign(value)) this.fail(`"${value}"`);
  }

  fail(wanted: string): never {
    const near = this.#tokens.slice(this.#at, this.#at + 8).map((token) => token.value);
    throw new Error(`${this.#file}: expected ${wanted} at ${near.join(" ")}`);
  }
}
