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

/** The boundary named by a `Content-Type` header. @throws ApiError 400 when the body is not multipart */
export function boundaryOf(contentType: string | undefined): string {
  const match = /^multipart\/form-data\s*;.*?boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(contentType ?? "");
  const boundary = match?.[1] ?? match?.[2];
  return boundary ?? invalid("Send the file as multipart/form-data with a boundary, in a part named `file`.");
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
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  // The first delimiter has no line break before it.
  let buffer: Buffer = LINE;
  let writer: PartWriter | null = null;
  let state: "preamble" | "body" | "after" | "head" | "end" = "preamble";
  for await (const chunk of body) {
    if (state === "end") continue;
    buffer = Buffer.concat([buffer, chunk]);
    for (let progress = true; progress; ) {
      progress = false;
      if (state === "preamble" || state === "body") {
        const at = buffer.indexOf(delimiter);
        // Without a delimiter all but a possible beginning of one belongs to the part.
        const end = at === -1 ? Math.max(0, buffer.length - delimiter.length + 1) : at;
        if (writer !== null && end > 0) await writer.write(buffer.subarray(0, end));
        buffer = buffer.subarray(at === -1 ? end : at + delimiter.length);
        if (at === -1) continue;
        await writer?.end();
        writer = null;
        state = "after";
        progress = true;
      } else if (state === "after") {
        if (buffer.length < 2) continue;
        const next = buffer.subarray(0, 2).toString("latin1");
        if (next !== "--" && next !== "\r\n") invalid("The multipart body is malformed after a boundary.");
        state = next === "--" ? "end" : "head";
        // The line break stays: together with the blank line it ends a head without any field too.
        if (state === "head") progress = true;
      } else if (state === "head") {
        const at = buffer.indexOf(BLANK);
        if (at === -1 && buffer.length > MAX_HEAD) invalid("The head of a multipart part is larger than 16 KB.");
        if (at === -1) continue;
        writer = onPart(parseHead(buffer.subarray(0, at).toString("utf8")));
        buffer = buffer.subarray(at + BLANK.length);
        state = "body";
        progress = true;
      }
    }
  }
  if (state !== "end") invalid("The multipart body ended before its closing boundary. Send it again.");
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
  return raw.replace(/%(22|0D|0A)/gi, (escape) => decodeURIComponent(escape));
}
