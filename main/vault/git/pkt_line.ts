/** Git's framing: four hex digits of length, then so many bytes; `0000` ends a part (gitprotocol-common). */
import { Refusal } from "../refusal.ts";
import type { ByteSource } from "./byte_source.ts";

export const FLUSH = Buffer.from("0000");
const MAX_LINE = 65_520;
/** Of a line in one of the side bands, its number included. */
const MAX_BAND = 65_515;

export function pktLine(content: string | Buffer): Buffer {
  const bytes = typeof content === "string" ? Buffer.from(content) : content;
  return Buffer.concat([Buffer.from((bytes.length + 4).toString(16).padStart(4, "0")), bytes]);
}

/** A side band's lines: 1 carries data, 2 what git shows as `remote: …`. */
export function bandLines(band: 1 | 2, content: Buffer): Buffer {
  const lines: Buffer[] = [];
  for (let at = 0; at < content.length; at += MAX_BAND) {
    lines.push(pktLine(Buffer.concat([Buffer.from([band]), content.subarray(at, at + MAX_BAND)])));
  }
  return Buffer.concat(lines);
}

export type Packet = Buffer | "flush" | "delimiter" | "end";

/**
 * The next line without its length; null at the end of the body. Strict: only lower-case digits, no empty lines.
 * @param special whether the special lines of protocol version 2 (0001, 0002) may come
 * @throws Refusal 400 when the body is not made of such lines
 */
export async function readPacket(source: ByteSource, special = false): Promise<Packet | null> {
  const digits = await source.take(4);
  if (digits === null) return null;
  const text = digits.toString("latin1");
  if (digits.length < 4) throw malformed("it ends within a line");
  if (!/^[0-9a-f]{4}$/.test(text)) throw malformed("a line does not begin with its length");
  const length = Number.parseInt(text, 16);
  if (length === 0) return "flush";
  if (special && length === 1) return "delimiter";
  if (special && length === 2) return "end";
  if (length <= 4 || length > MAX_LINE) throw malformed(`a line has the impossible length ${text}`);
  const content = await source.take(length - 4);
  if (content === null || content.length < length - 4) throw malformed("it ends within a line");
  return content;
}

export function malformed(what: string): Refusal {
  return new Refusal(400, "invalid_request_error", `This is not git's protocol: ${what}.`, "malformed_git");
}
