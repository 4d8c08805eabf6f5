/** `read`: the text of a file, as it is. */
import { FileError, type Machine } from "../machine.ts";
import { ToolFailure } from "../port.ts";
import { decodeText } from "../text.ts";
import { fileFailure, ToolInput } from "./input.ts";

/** Largest file, or selection of lines, that is read at once. */
export const FILE_LIMIT = 256 * 1024;
/** Longer results are cut here; the contract's limit for every tool output, in characters. */
export const RESULT_LIMIT = 100_000;

const NEWLINE = 0x0a;

export async function read(input: unknown, machine: Machine): Promise<string> {
  const fields = new ToolInput("read", input);
  const path = fields.required("file_path");
  const range = fields.range("view_range");
  try {
    const canonical = await machine.resolve(path);
    const { kind, size } = await machine.stat(canonical);
    if (kind !== "file") throw new ToolFailure(`read: ${path} is not a regular file`);
    if (size > FILE_LIMIT && range === undefined) {
      throw new ToolFailure(
        `read: ${path} is ${size} bytes, exceeds ${FILE_LIMIT}-byte limit. ` +
          "Use the view_range parameter to read parts of it, e.g. view_range: [1, 500].",
      );
    }
    const [first, last] = range ?? [1, 0];
    const lines = new LineSelection(path, first, last);
    for await (const chunk of machine.read(canonical)) {
      lines.take(chunk);
      if (lines.complete) break;
    }
    return shown(decodeText(lines.bytes()), path, Math.max(1, first));
  } catch (error) {
    throw fileFailure("read", path, error);
  }
}

/** Cuts a long text after a whole line and says where it goes on: the file itself holds the rest. */
function shown(text: string, path: string, firstLine: number): string {
  if (text.length <= RESULT_LIMIT) return text;
  const cut = text.lastIndexOf("\n", RESULT_LIMIT - 300);
  const head = cut > 0 ? text.slice(0, cut) : text.slice(0, RESULT_LIMIT - 300).toWellFormed();
  const next = firstLine + head.split("\n").length;
  return (
    `${head}\n[output truncated: ${text.length} characters in all; the rest is in ${path}` +
    `${cut > 0 ? `, go on with view_range: [${next}, 0]` : " on the same line, use bash to see it"}]`
  );
}

/** Collects the bytes of the lines `first` to `last` from chunks of a file, never more than {@link FILE_LIMIT}. */
class LineSelection {
  readonly #path: string;
  readonly #first: number;
  readonly #last: number;
  readonly #parts: Uint8Array[] = [];
  #size = 0;
  #line = 1;

  constructor(path: string, first: number, last: number) {
    this.#path = path;
    this.#first = Math.max(1, first);
    this.#last = last > 0 ? last : Number.POSITIVE_INFINITY;
  }

  get complete(): boolean {
    return this.#line > this.#last;
  }

  take(chunk: Uint8Array): void {
    let start = 0;
    while (start < chunk.length && !this.complete) {
      const newline = chunk.indexOf(NEWLINE, start);
      const end = newline < 0 ? chunk.length : newline;
      // The newline belongs to the selection only where a further selected line follows it.
      const keep = newline >= 0 && this.#line < this.#last ? newline + 1 : end;
      if (this.#line >= this.#first) this.#add(chunk.subarray(start, keep));
      if (newline < 0) break;
      this.#line += 1;
      start = newline + 1;
    }
  }

  bytes(): Uint8Array {
    return Buffer.concat(this.#parts, this.#size);
  }

  #add(part: Uint8Array): void {
    this.#parts.push(part);
    this.#size += part.length;
    if (this.#size <= FILE_LIMIT) return;
    throw new ToolFailure(
      this.#first === this.#last
        ? `read: line ${this.#first} of ${this.#path} alone exceeds ${FILE_LIMIT}-byte limit. Use bash to see parts of it.`
        : `read: the selected lines of ${this.#path} exceed ${FILE_LIMIT}-byte limit. Narrow the view_range.`,
    );
  }
}

/** The whole of a text file for editing. Rejects with a failure that names `tool`. */
export async function readWhole(tool: string, path: string, canonical: string, machine: Machine): Promise<string> {
  const { kind, size } = await machine.stat(canonical);
  if (kind !== "file") throw new ToolFailure(`${tool}: ${path} is not a regular file`);
  const tooLarge = (bytes: number): ToolFailure =>
    new ToolFailure(`${tool}: ${path} is ${bytes} bytes, exceeds ${FILE_LIMIT}-byte limit. Use bash to change it.`);
  if (size > FILE_LIMIT) throw tooLarge(size);
  const parts: Uint8Array[] = [];
  let read = 0;
  for await (const chunk of machine.read(canonical)) {
    parts.push(chunk);
    read += chunk.length;
    if (read > FILE_LIMIT) throw tooLarge(read);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(parts, read));
  } catch (error) {
    // Decoding with replacement characters and writing that back would destroy every other byte of the file.
    if (error instanceof TypeError) throw new ToolFailure(`${tool}: ${path} is not UTF-8 text. Use bash to change it.`);
    throw new FileError("EIO");
  }
}
