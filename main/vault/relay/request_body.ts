/** Bodies of requests that are passed on. */
import type { IncomingMessage } from "node:http";
import { Refusal } from "../refusal.ts";

/**
 * Reads the whole body; beyond `maxBytes` it is refused while the connection stays usable.
 * @param hold told of each part that is kept; may throw {@link Refusal} when there is no room
 */
export async function readBody(
  request: IncomingMessage,
  maxBytes: number,
  hold: (bytes: number) => void = () => undefined,
): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > maxBytes) continue;
    hold(part.length);
    parts.push(part);
  }
  if (size > maxBytes) {
    throw new Refusal(413, "request_too_large", `The request has ${size} bytes; ${maxBytes} are the limit.`);
  }
  return Buffer.concat(parts, size);
}
