/** Headers of a host's answer on their way to the sandbox: masked, and framed anew. */
import type { IncomingMessage } from "node:http";
import type { Redactor } from "../../../redact.ts";
import { isFraming } from "./request_head.ts";

/** They would lead a program past this connection. */
const NOT_PASSED_ON = new Set(["alt-svc"]);
/** They say something of the bytes as the host sent them. */
const OF_THE_BYTES = new Set(["content-length", "content-md5", "digest", "content-digest", "accept-ranges"]);

/**
 * Names and values in turn.
 * @param changed the body is no longer what the host sent, byte for byte
 * @param coded it still has the host's Content-Encoding
 */
export function passedHeaders(
  { rawHeaders, headers }: IncomingMessage,
  redactor: Redactor,
  { changed, coded }: { changed: boolean; coded: boolean },
): string[] {
  const named = new Set((headers.connection ?? "").toLowerCase().split(/\s*,\s*/));
  const passed: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    const key = name.toLowerCase();
    if ((isFraming(key) && key !== "content-length") || named.has(key) || NOT_PASSED_ON.has(key)) continue;
    if (changed && OF_THE_BYTES.has(key)) continue;
    if (!coded && key === "content-encoding") continue;
    passed.push(name, maskedText(rawHeaders[at + 1] ?? "", redactor));
  }
  return passed;
}

export function passedTrailers({ rawTrailers }: IncomingMessage, redactor: Redactor): [string, string][] {
  const passed: [string, string][] = [];
  for (let at = 0; at + 1 < rawTrailers.length; at += 2) {
    const name = rawTrailers[at] ?? "";
    if (!isFraming(name)) passed.push([name, maskedText(rawTrailers[at + 1] ?? "", redactor)]);
  }
  return passed;
}

/** @param text of a header: a character per byte */
export function maskedText(text: string, redactor: Redactor): string {
  return redactor.bytes(Buffer.from(text, "latin1")).toString("latin1");
}
