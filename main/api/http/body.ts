/** Reads request bodies with limits while they arrive. */

import type { HttpBindings } from "@hono/node-server";
import type { z } from "zod";
import { ApiError, invalid } from "../../contract/errors.ts";
import { parseWith } from "../../contract/schemas/issues.ts";
import type { ApiContext } from "./context.ts";
import { locateJsonError } from "./json_position.ts";

export const MAX_JSON_BYTES = 32 * 1024 * 1024;

/**
 * A list of nothing but zeros is small as text and takes gigabytes and seconds as values, for the whole engine. The largest
 * request of the contract, 100 events of 1,000 blocks each, has 300,000.
 */
const MAX_VALUES = 400_000;

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
 * @throws ApiError 413 over `maxBytes`, 400 when it is not UTF-8, not JSON (with the position), has too many values or is
 *   nested too deeply
 */
export async function readJson(c: ApiContext, maxBytes: number = MAX_JSON_BYTES): Promise<unknown> {
  const bytes = await readLimited(c, maxBytes);
  if (bytes.length === 0) invalid("The request body is empty. Send a JSON object.");
  return parsedBody(bytes);
}

/** Like {@link readBody} for endpoints whose body is optional: nothing at all reads as an empty object. */
export async function readOptionalBody<S extends z.ZodType>(c: ApiContext, schema: S): Promise<z.output<S>> {
  const bytes = await readLimited(c, MAX_JSON_BYTES);
  return parseWith(schema, bytes.length === 0 ? {} : parsedBody(bytes), "The request body");
}

function parsedBody(bytes: Uint8Array): unknown {
  refuseManyValues(bytes);
  const value = parseJson(decode(bytes));
  checkValue(value, 0);
  return value;
}

const [COMMA, QUOTE, BACKSLASH, BRACKET, BRACE] = [0x2c, 0x22, 0x5c, 0x5b, 0x7b];

/** Counts before anything is made of the text: before each value stands a comma or the list or object that it begins. */
function refuseManyValues(bytes: Uint8Array): void {
  if (bytes.length < MAX_VALUES) return;
  let values = 0;
  let quoted = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) quoted = !quoted;
    else if (quoted) at += byte === BACKSLASH ? 1 : 0;
    else if (byte === COMMA || byte === BRACKET || byte === BRACE) values += 1;
  }
  if (values > MAX_VALUES) {
    invalid(`The request body has more than ${MAX_VALUES.toLocaleString("en")} values. Send less at a time.`);
  }
}

/**
 * The request's body as it arrives. Stopping early leaves the connection open for the answer, and the rest of the body to
 * the next call.
 */
export function bodyChunks(c: ApiContext): AsyncIterable<Uint8Array> {
  const { incoming } = (c.env ?? {}) as Partial<HttpBindings>;
  // Hands over all that has arrived in one piece: as a web stream a body of single bytes holds up the engine for seconds.
  if (incoming !== undefined) return incoming.iterator({ destroyOnReturn: false });
  return (c.req.raw.body ?? new Blob().stream()).values({ preventCancel: true });
}

async function readLimited(c: ApiContext, limit: number): Promise<Uint8Array> {
  if (Number(c.req.header("content-length") ?? 0) > limit) tooLarge(limit);
  const bytes = new ByteCollector();
  try {
    for await (const chunk of bodyChunks(c)) {
      if (bytes.length + chunk.byteLength > limit) tooLarge(limit);
      bytes.add(chunk);
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    invalid("The request body ended early: the connection was closed before all of it arrived.");
  }
  return bytes.taken();
}

/** Bytes that arrive in pieces, which may be single bytes: as many objects would take a hundred times the memory. */
export class ByteCollector {
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Copies them: the reader goes on to use the memory of what it hands over. */
  add(bytes: Uint8Array): void {
    const length = this.#length + bytes.byteLength;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, Math.min(2 * this.#buffer.length, length + MAX_JSON_BYTES)));
      larger.set(this.#buffer.subarray(0, this.#length));
      this.#buffer = larger;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length = length;
  }

  /** All of them. Nothing may be added afterwards. */
  taken(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}

/** Throws 413 `request_too_large`. */
export function tooLarge(limit: number): never {
  const shown = limit < 1024 * 1024 ? `${limit / 1024} KB` : `${limit / 1024 / 1024} MB`;
  throw new ApiError("request_too_large", `The request body is larger than ${shown}.`);
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
  if (Array.isArray(value)) {
    for (const inner of value) checkValue(inner, depth + 1);
    return;
  }
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
