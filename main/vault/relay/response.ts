/** An upstream's response on its way to the caller: decoded, secrets masked, at once and chunk by chunk. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from "node:http";
import type { Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from "node:zlib";
import type { BrokerLog } from "../log.ts";
import type { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";

export interface RelayOptions {
  /** The upstream's, for people. */
  host: string;
  redactor: Redactor;
  /** Of the decoded body; the response is broken off beyond it. */
  maxBytes: number;
  /** @param decoded true when the body was decompressed on the way */
  headers: (decoded: boolean) => OutgoingHttpHeaders;
  log: BrokerLog;
}

const DECODERS: Record<string, () => Transform> = {
  gzip: createGunzip,
  "x-gzip": createGunzip,
  br: createBrotliDecompress,
  deflate: createInflate,
  zstd: createZstdDecompress,
};

/**
 * Passes the response on and resolves when it is through or was broken off, at both ends alike.
 * Rejects with {@link Refusal}, before anything was passed, when its coding cannot be read: it could hide a secret.
 */
export async function relay(upstream: IncomingMessage, response: ServerResponse, options: RelayOptions): Promise<void> {
  const decoder = decoderOf(upstream, options.host);
  response.writeHead(upstream.statusCode ?? 502, options.headers(decoder !== null));
  response.flushHeaders();
  const masking = options.redactor.stream(options.maxBytes);
  try {
    if (decoder === null) await pipeline(upstream, masking, response);
    else await pipeline(upstream, decoder, masking, response);
  } catch (error) {
    // Both ends are torn down by now, so that the caller sees a broken response and not a short complete one.
    const reason = error instanceof Error ? error.message : String(error);
    options.log.debug({ host: options.host, reason }, "a response was broken off");
  }
}

function decoderOf(upstream: IncomingMessage, host: string): Transform | null {
  const coding = upstream.headers["content-encoding"]?.trim().toLowerCase();
  if (coding === undefined || coding === "" || coding === "identity") return null;
  const create = Object.hasOwn(DECODERS, coding) ? DECODERS[coding] : undefined;
  if (create !== undefined) return create();
  upstream.destroy();
  throw new Refusal(502, "api_error", `${host} answered in a coding that was not asked for.`, "endpoint_failed");
}
