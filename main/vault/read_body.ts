/** Bodies of the control routes. */
import type { IncomingMessage } from "node:http";
import { Refusal } from "./refusal.ts";

/** The body as JSON. @throws Refusal 413 above `maxBytes`, 400 when it is not JSON */
export async function readJsonBody(request: IncomingMessage, maxBytes: number): Promise<unknown> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size <= maxBytes) parts.push(part);
  }
  if (size > maxBytes) throw new Refusal(413, "request_too_large", `The body has more than ${maxBytes} bytes.`);
  try {
    return JSON.parse(Buffer.concat(parts).toString());
  } catch {
    throw new Refusal(400, "invalid_request_error", "The body is not JSON.");
  }
}
