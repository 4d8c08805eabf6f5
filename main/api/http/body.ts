/** Reads request bodies with limits while they arrive. */

import type { z } from "zod";
import { ApiError, invalid } from "../../contract/errors.ts";
import { parseWith } from "../../contract/schemas/issues.ts";
import type { ApiContext } from "./context.ts";
import { locateJsonError } from "./json_position.ts";

export const MAX_JSON_BYTES = 32 * 1024 * 1024;

/** Deeper values would overflow the stack of whoever walks them later; no request of the contract comes near. */
const MAX_DEPTH = 100;

/** The body of a request to an endpoint that takes one, checked against its schema; `codes` as in {@link parseWith}. */
export async function readBody<S extends z.ZodType>(
  c: ApiContext,
  schema: S,
  codes?: Readonly<Record<string, string>>,
): Promise<z.output<S>> {
  return parseWith(schema, await readJson(c), "The request body", codes);
}

/**
 * The body as JSON.
 * @throws ApiError 413 over 32 MB, 400 when it is not UTF-8, not JSON (with the position) or nested too deeply
 */
export async function readJson(c: ApiContext): Promise<unknown> {
  const bytes = await readLimited(c, MAX_JSON_BYTES);
  if (bytes.length === 0) invalid("The request body is empty. Send a JSON object.");
  const value = parseJson(decode(bytes));
  checkValue(value, 0);
  return value;
}

/** Like {@link readBody} for endpoints whose body is optional: nothing at all reads as an empty object. */
export async function readOptionalBody<S extends z.ZodType>(c: ApiContext, schema: S): Promise<z.output<S>> {
  const bytes = await readLimited(c, MAX_JSON_BYTES);
  const value = bytes.length === 0 ? {} : parseJson(decode(bytes));
  checkValue(value, 0);
  return parseWith(schema, value, "The request body");
}

async function readLimited(c: ApiContext, limit: number): Promise<Uint8Array> {
  if (Number(c.req.header("content-length") ?? 0) > limit) tooLarge(limit);
  const body = c.req.raw.body;
  if (body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body) {
      size += chunk.byteLength;
      if (size > limit) tooLarge(limit);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    invalid("The request body ended early: the connection was closed before all of it arrived.");
  }
  return Buffer.concat(chunks);
}

/** Throws 413 `request_too_large`. */
export function tooLarge(limit: number): never {
  throw new ApiError("request_too_large", `The request body is larger than ${limit / 1024 / 1024} MB.`);
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return invalid("The request body is not valid UTF-8.");
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    const { line, column, found } = locateJsonError(text);
    return invalid(`The request body is not valid JSON: ${found} at line ${line}, column ${column}.`);
  }
}

/**
 * Refuses what no later reader could handle: deep nesting, `__proto__` keys, and strings with lone surrogates, which
 * cannot be written as UTF-8 and would poison every later model request.
 */
function checkValue(value: unknown, depth: number): void {
  if (typeof value === "string") {
    if (!value.isWellFormed()) invalid("A string in the request body contains a lone surrogate, which is not text.");
    return;
  }
  if (typeof value !== "object" || value === null) return;
  if (depth >= MAX_DEPTH) invalid(`The request body is nested deeper than ${MAX_DEPTH} levels.`);
  for (const [key, inner] of Object.entries(value)) {
    if (key === "__proto__") invalid('The request body may not have a field named "__proto__".');
    if (!key.isWellFormed()) invalid("A field name in the request body contains a lone surrogate, which is not text.");
    checkValue(inner, depth + 1);
  }
}

/** Bytes as a response body without a copy: the stores here never hand out shared memory, which a body may not be. */
export function asBody(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
