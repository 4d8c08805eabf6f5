/** What a host answers, without the values that it was sent: servers echo headers, and print them in errors. */
import type { IncomingMessage } from "node:http";
import { type Duplex, Transform, type TransformCallback } from "node:stream";
import { constants, createBrotliCompress, createBrotliDecompress, createGunzip, createGzip } from "node:zlib";
import type { Redactor } from "../../../redact.ts";
import { RequestRefused } from "./refused.ts";

/** What begins like a value is held back for so long, in ms: then it is the end of what the host has to say for now. */
const HELD_MS = 150;

/** Masks values, and passes on what cannot be the start of one at once. */
export function maskingStream(redactor: Redactor): Transform {
  let held: Buffer = Buffer.alloc(0);
  let timer: NodeJS.Timeout | undefined;
  const stream = new Transform({
    transform: (chunk: Buffer, _encoding, done: TransformCallback) => {
      clearTimeout(timer);
      const masked = redactor.bytes(held.length === 0 ? chunk : Buffer.concat([held, chunk]));
      const keep = redactor.pending(masked);
      held = Buffer.from(masked.subarray(masked.length - keep));
      // A message that ends like a value begins must arrive: whoever waits for it may have to speak next.
      if (keep > 0) timer = setTimeout(release, HELD_MS);
      done(null, masked.subarray(0, masked.length - keep));
    },
    flush: (done: TransformCallback) => {
      clearTimeout(timer);
      done(null, held);
    },
    destroy: (error, done) => {
      clearTimeout(timer);
      done(error);
    },
  });
  const release = (): void => {
    stream.push(held);
    held = Buffer.alloc(0);
  };
  return stream;
}

const CODINGS: Record<string, { decode: () => Duplex; encode: () => Duplex }> = {
  gzip: { decode: () => createGunzip(), encode: () => createGzip({ level: 1 }) },
  br: {
    decode: () => createBrotliDecompress(),
    encode: () => createBrotliCompress({ params: { [constants.BROTLI_PARAM_QUALITY]: 1 } }),
  },
};

/** The Accept-Encoding to send: of what the caller takes, what can be looked into here. */
export function acceptableEncodings(accepted: string): string {
  const known = accepted.split(",").flatMap((item) => {
    const [name = "", quality = "1"] = item
      .trim()
      .toLowerCase()
      .split(/\s*;\s*q=/);
    return name in CODINGS && Number(quality) > 0 ? [name] : [];
  });
  return known.length === 0 ? "identity" : known.join(", ");
}

export interface AnsweredBody {
  /** Streams through which the body goes, in this order. */
  through: Duplex[];
  /** The bytes are no longer those that the host's headers tell of, in number or coding. */
  changed: boolean;
  /** They still have the host's Content-Encoding. */
  coded: boolean;
}

/**
 * How the body of an answer is masked. Throws {@link RequestRefused} when it cannot be looked into.
 * @param accepted the caller's own Accept-Encoding
 */
export function answeredBody(answer: IncomingMessage, accepted: string, redactor: Redactor): AnsweredBody {
  if (!redactor.active) return { through: [], changed: false, coded: true };
  const coding = (answer.headers["content-encoding"] ?? "")
    .trim()
    .toLowerCase()
    .replace(/^x-gzip$/, "gzip");
  if (coding === "" || coding === "identity") {
    return { through: [maskingStream(redactor)], changed: false, coded: true };
  }
  const known = CODINGS[coding];
  if (known === undefined || answer.statusCode === 206) {
    const text = "The host's answer is compressed in a way that cannot be looked into, so it was not passed on.";
    throw new RequestRefused(502, "answer", `${text} Ask for it without Accept-Encoding and Range.`);
  }
  const plain = [known.decode(), maskingStream(redactor)];
  // Who did not ask for a coding may keep the bytes as they come: what is named .gz must stay gzip.
  if (acceptableEncodings(accepted).split(", ").includes(coding))
    return { through: plain, changed: true, coded: false };
  return { through: [...plain, known.encode()], changed: true, coded: true };
}
