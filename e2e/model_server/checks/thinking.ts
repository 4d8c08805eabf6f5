/** Signatures of thinking blocks: issued with a response, checked when the block comes back. */
import { createHmac } from "node:crypto";
import type { Json } from "./shape.ts";

export class ThinkingLedger {
  readonly #secret: string;
  readonly #before = new Map<string, string[]>();

  /** @param secret the same secret accepts signatures of an earlier server */
  constructor(secret: string) {
    this.#secret = secret;
  }

  #mac(content: string): string {
    return createHmac("sha256", this.#secret).update(content).digest("base64");
  }

  sign(thinking: string): string {
    return this.#mac(`thinking:${thinking}`);
  }

  /** The opaque payload of a redacted block: its own content plus a signature. */
  seal(data: string): string {
    return `${Buffer.from(data).toString("base64url")}.${this.#mac(`redacted:${data}`)}`;
  }

  /** True when this exact thinking or redacted_thinking block was issued with this secret. */
  verify(block: Json): boolean {
    if (block.type === "thinking") return block.signature === this.sign(String(block.thinking));
    const [data = ""] = String(block.data).split(".");
    return block.data === this.seal(Buffer.from(data, "base64url").toString());
  }

  /** Remembers the signatures of the thinking that led to a call. */
  remember(toolUseId: string, signatures: string[]): void {
    this.#before.set(toolUseId, signatures);
  }

  before(toolUseId: string): string[] {
    return this.#before.get(toolUseId) ?? [];
  }
}
