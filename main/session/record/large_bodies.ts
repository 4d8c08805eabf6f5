/**
 * Bodies over 64 KiB leave the event and go to the blob store (L5). Which strings were taken out is written beside the
 * event as paths: a value that only looks like a marker, because a model or a tool wrote it so, is never followed.
 */
import type { LedgerEvent } from "../../contract/events.ts";
import type { BlobMarker } from "../../contract/local_api.ts";
import type { BlobStore } from "../catalog.ts";
import { LedgerWriteError } from "../ledger.ts";

const MAX_EVENT_BYTES = 64 * 1024;
const MIN_BODY_BYTES = 8 * 1024;
const PREVIEW_BYTES = 2 * 1024;

/** Keys and indices from the event down to one string. */
type BodyPath = readonly (string | number)[];

interface Body {
  path: BodyPath;
  text: string;
  bytes: number;
}

export interface StoredText {
  /** JSON of the event, with a marker in place of every body that was taken out. */
  text: string;
  /** JSON array of the markers' paths; null when the event is whole. */
  bodies: string | null;
}

/**
 * Takes the largest strings out of an event until its JSON fits 64 KiB; their bytes are durable on return. An event of
 * many small strings stays whole: there is no body to take out of it.
 * @throws {LedgerWriteError} when a body cannot be stored
 */
export function takeOutBodies(text: string, blobs: BlobStore): StoredText {
  // A UTF-16 unit takes at most three bytes: most events are known to be small without counting them.
  if (text.length * 3 <= MAX_EVENT_BYTES) return { text, bodies: null };
  let total = Buffer.byteLength(text);
  if (total <= MAX_EVENT_BYTES) return { text, bodies: null };
  const copy: unknown = JSON.parse(text);
  const bodies: Body[] = [];
  collectBodies(copy, [], bodies);
  bodies.sort((a, b) => b.bytes - a.bytes);
  const paths: BodyPath[] = [];
  for (const body of bodies) {
    if (total <= MAX_EVENT_BYTES) break;
    const marker = storeBody(body.text, blobs);
    replaceAt(copy, body.path, marker);
    paths.push(body.path);
    total += jsonBytes(marker) - jsonBytes(body.text);
  }
  if (paths.length === 0) return { text, bodies: null };
  return { text: JSON.stringify(copy), bodies: JSON.stringify(paths) };
}

/** Puts the bodies back in place. One that is missing or damaged becomes its preview and a notice; never throws. */
export function putBackBodies(event: LedgerEvent, bodies: string, blobs: BlobStore): LedgerEvent {
  for (const path of JSON.parse(bodies) as BodyPath[]) {
    const marker = valueAt(event, path);
    if (isMarker(marker)) replaceAt(event, path, readBody(marker, blobs));
  }
  return event;
}

/** The SHA-256 of every body that the ledger took out of this event. */
export function bodyHashes(event: unknown, bodies: string): string[] {
  const markers = (JSON.parse(bodies) as BodyPath[]).map((path) => valueAt(event, path));
  return markers.filter(isMarker).map((marker) => marker.longhaul_blob);
}

function collectBodies(value: unknown, path: BodyPath, into: Body[]): void {
  if (typeof value === "string") {
    if (value.length * 3 <= MIN_BODY_BYTES) return;
    const bytes = Buffer.byteLength(value);
    // UTF-8 cannot hold a lone surrogate: such a string would come back changed, so it stays in the event.
    if (bytes > MIN_BODY_BYTES && value.isWellFormed()) into.push({ path, text: value, bytes });
  } else if (Array.isArray(value)) {
    value.forEach((item, index) => {
      collectBodies(item, [...path, index], into);
    });
  } else if (typeof value === "object" && value !== null) {
    for (const [key, item] of Object.entries(value)) collectBodies(item, [...path, key], into);
  }
}

function storeBody(text: string, blobs: BlobStore): BlobMarker {
  const bytes = Buffer.from(text);
  try {
    return { longhaul_blob: blobs.putSync(bytes), bytes: bytes.length, preview: startOf(bytes) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new LedgerWriteError(
      `A large body could not be stored: ${reason}. Nothing of this append was written; everything stored before is ` +
        "safe. Make sure that the disk has free space and can be written, then try again.",
      { cause: error },
    );
  }
}

/** The first 2 KiB, cut between two characters. */
function startOf(bytes: Buffer): string {
  let end = Math.min(PREVIEW_BYTES, bytes.length);
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end).toString();
}

function readBody(marker: BlobMarker, blobs: BlobStore): string {
  try {
    return Buffer.from(blobs.getSync(marker.longhaul_blob)).toString();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return `${marker.preview}\n[The rest of this text (${marker.bytes} bytes in all) could not be read: ${reason}]`;
  }
}

function isMarker(value: unknown): value is BlobMarker {
  return (
    typeof value === "object" && value !== null && "longhaul_blob" in value && typeof value.longhaul_blob === "string"
  );
}

function valueAt(root: unknown, path: BodyPath): unknown {
  let value: unknown = root;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<string | number, unknown>)[key];
  }
  return value;
}

function replaceAt(root: unknown, path: BodyPath, value: unknown): void {
  const parent = valueAt(root, path.slice(0, -1));
  const key = path.at(-1);
  if (typeof parent !== "object" || parent === null || key === undefined) return;
  // Not an assignment: a key named `__proto__`, which JSON allows, would set the prototype instead.
  Object.defineProperty(parent, key, { value, writable: true, enumerable: true, configurable: true });
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
