/** Reads `multipart/form-data` while it arrives: a part is handed on in pieces and never held as a whole. */
import { invalid } from "../../../contract/errors.ts";

export interface PartHead {
  name: string;
  /** null for a plain field. */
  filename: string | null;
  contentType: string | null;
}

export interface PartWriter {
  write(bytes: Uint8Array): Promise<void>;
  end(): Promise<void>;
}

const MAX_HEAD = 16 * 1024;
const LINE = Buffer.from("\r\n");
const BLANK = Buffer.from("\r\n\r\n");

/** The boundary named by a `Content-Type` header. @throws ApiError 400 with `advice` when the body is not multipart */
export function boundaryOf(
  contentType: string | undefined,
  advice = "Send the file as multipart/form-data with a boundary, in a part named `file`.",
): string {
  const match = /^multipart\/form-data\s*;.*?boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType ?? "");
  const boundary = match?.[1] ?? match?.[2];
  return boundary ?? invalid(advice);
}

/**
 * Parses a body.
 * @param onPart asked for each part; its writer receives the bytes in order
 * @throws ApiError 400 when the body is malformed or ends before its closing boundary
 */
export async function readMultipart(
  body: AsyncIterable<Uint8Array>,
  boundary: string,
  onPart: (head: PartHead) => PartWriter,
): Promise<void> {
  const reader = new MultipartReader(boundary, onPart);
  for await (const chunk of body) await reader.push(chunk);
  if (!reader.ended) invalid("The multipart body ended before its closing boundary. Send it again.");
}

class MultipartReader {
  readonly #delimiter: Buffer;
  readonly #onPart: (head: PartHead) => PartWriter;
  /** The first delimiter has no line break before it. */
  #buffer: Buffer = LINE;
  #writer: PartWriter | null = null;
  #state: "content" | "after" | "head" | "end" = "content";

  constructor(boundary: string, onPart: (head: PartHead) => PartWriter) {
    this.#delimiter = Buffer.from(`\r\n--${boundary}`);
    this.#onPart = onPart;
  }

  get ended(): boolean {
    return this.#state === "end";
  }

  async push(chunk: Uint8Array): Promise<void> {
    if (this.#state === "end") return;
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    while (await this.#step());
  }

  /** One step through what has arrived; false when more is needed. */
  #step(): Promise<boolean> | boolean {
    switch (this.#state) {
      case "content":
        return this.#content();
      case "after":
        return this.#after();
      case "head":
        return this.#head();
      case "end":
        return false;
    }
  }

  /** The preamble, which is dropped, or the content of a part. */
  async #content(): Promise<boolean> {
    const at = this.#buffer.indexOf(this.#delimiter);
    // Without a delimiter all but a possible beginning of one belongs to the part.
    const end = at === -1 ? Math.max(0, this.#buffer.length - this.#delimiter.length + 1) : at;
    if (this.#writer !== null && end > 0) await this.#writer.write(this.#buffer.subarray(0, end));
    this.#buffer = this.#buffer.subarray(at === -1 ? end : at + this.#delimiter.length);
    if (at === -1) return false;
    await this.#writer?.end();
    this.#writer = null;
    this.#state = "after";
    return true;
  }

  #after(): boolean {
    if (this.#buffer.length < 2) return false;
    const next = this.#buffer.subarray(0, 2).toString("latin1");
    if (next !== "--" && next !== "\r\n") invalid("The multipart body is malformed after a boundary.");
    // The line break stays: with the blank line it ends a head without any field too.
    this.#state = next === "--" ? "end" : "head";
    return true;
  }

  #head(): boolean {
    const at = this.#buffer.indexOf(BLANK);
    if (at === -1) {
      if (this.#buffer.length > MAX_HEAD) invalid("The head of a multipart part is larger than 16 KB.");
      return false;
    }
    this.#writer = this.#onPart(parseHead(this.#buffer.subarray(0, at).toString("utf8")));
    this.#buffer = this.#buffer.subarray(at + BLANK.length);
    this.#state = "content";
    return true;
  }
}

function parseHead(text: string): PartHead {
  const fields = new Map<string, string>();
  for (const line of text.split("\r\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) fields.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  const disposition = fields.get("content-disposition") ?? "";
  const name = quoted(disposition, "name");
  if (!/^form-data\b/i.test(disposition) || name === null) invalid("A multipart part has no name.");
  return { name, filename: quoted(disposition, "filename"), contentType: fields.get("content-type") ?? null };
}

/** A parameter of `Content-Disposition`, with the escapes that browsers and fetch use. */
function quoted(disposition: string, parameter: string): string | null {
  const match = new RegExp(`;\\s*${parameter}=(?:"((?:[^"\\\\]|\\\\.)*)"|([^\\s;"]+))`, "i").exec(disposition);
  if (match === null) return null;
  const raw = match[1]?.replace(/\\(.)/g, "$1") ?? match[2] ?? "";
  return raw.replace(/%(22|0D|0A)/gi, (code) => decodeURIComponent(code));
}
