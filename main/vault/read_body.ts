/** Bodies of the control routes. */
import type { IncomingMessage } from "node:http";
import type { z } from "zod";
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

/** The body in the form that a route takes. @throws Refusal that says where it is wrong, never what it holds */
export async function parsedBody<S extends z.ZodType>(
  request: IncomingMessage,
  maxBytes: number,
  shape: S,
): Promise<z.output<S>> {
  const result = shape.safeParse(await readJsonBody(request, maxBytes));
  if (result.success) return result.data;
  const where = result.error.issues[0]?.path.join(".") ?? "";
  const text = `${where === "" ? "The body" : where}: is not what this route takes.`;
  throw new Refusal(400, "invalid_request_error", text);
}
