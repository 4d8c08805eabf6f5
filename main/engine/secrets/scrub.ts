/** Masks known secret values in what comes out of a sandbox and is no event. */
import { Transform } from "node:stream";
import type { SecretScanner } from "../../contract/secrets/scanner.ts";
import { StreamMask } from "../../contract/secrets/stream_mask.ts";

/** The value with every string in it masked; the same value when there is nothing to mask. */
export function scrubStrings<T>(value: T, secrets: SecretScanner): T {
  const text = JSON.stringify(value);
  if (secrets.scan(text).found.length === 0) return value;
  return JSON.parse(text, (_, item: unknown) => (typeof item === "string" ? secrets.mask(item) : item)) as T;
}

/** Bytes of any kind pass at unchanged length: a value is masked where its UTF-8 bytes are, also across chunks. */
export function scrubBytes(secrets: SecretScanner): Transform {
  const mask = new StreamMask(secrets);
  return new Transform({
    transform: (chunk: Buffer, _encoding, done) => done(null, bytesOf(mask.push(chunk.toString("latin1")))),
    flush: (done) => done(null, bytesOf(mask.end())),
  });
}

/** One byte is one letter of Latin-1, and back. */
function bytesOf(text: string): Buffer | null {
  return text === "" ? null : Buffer.from(text, "latin1");
}
