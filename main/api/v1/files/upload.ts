/** Takes in an uploaded file: streamed to a temporary file while it arrives, then stored by its content. */
import { type FileHandle, mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, extname, join } from "node:path";
import { getMimeType } from "hono/utils/mime";
import { ApiError, invalid } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import type { FileRecord } from "../../../session/catalog.ts";
import { ByteCollector, bodyChunks, tooLarge } from "../../http/body.ts";
import { type ApiContext, type Deps, timestamp } from "../../http/context.ts";
import { boundaryOf, type PartHead, type PartWriter, readMultipart } from "./multipart.ts";

export const MAX_FILE_BYTES = 500 * 1024 * 1024;
/** Written at a time: a client may send single bytes. */
const WRITTEN_BYTES = 256 * 1024;
const MAX_FIELD_BYTES = 64;
/** What boundaries and part heads add to the file itself. */
const ENVELOPE_BYTES = 64 * 1024;
const MIN_EXPIRY = 3600;
const MAX_EXPIRY = 7_776_000;

/** Reads the request, stores its file and records it. @throws ApiError 400 or 413; nothing is stored then */
export async function receiveUpload(c: ApiContext, deps: Deps): Promise<FileRecord> {
  const boundary = boundaryOf(c.req.header("content-type"));
  if (Number(c.req.header("content-length") ?? 0) > MAX_FILE_BYTES + ENVELOPE_BYTES) tooLarge(MAX_FILE_BYTES);
  const folder = await mkdtemp(join(tmpdir(), "longhaul-upload-"));
  const form = new UploadForm(join(folder, "file"));
  try {
    await readMultipart(whole(bodyChunks(c)), boundary, (head) => form.part(head));
    const head = form.head ?? invalid("`file` is required: the file to upload.");
    const expires = form.expiresInSeconds;
    const bytes = await readFile(form.path);
    const sha256 = await deps.blobs.put(bytes);
    const mime_type = mimeTypeOf(head);
    const record: FileRecord = {
      id: newId("file"),
      type: "file",
      filename: filenameOf(head, mime_type),
      mime_type,
      size_bytes: bytes.length,
      downloadable: true,
      created_at: timestamp(deps),
      expires_at: expires === null ? null : new Date(deps.now() + expires * 1000).toISOString(),
      scope: null,
      sha256,
    };
    await deps.catalog.putFile(record);
    return record;
  } finally {
    await form.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function* whole(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    invalid("The upload ended early: the connection was closed before all of it arrived. Send it again.");
  }
}

class UploadForm {
  readonly path: string;
  head: PartHead | null = null;
  #handle: FileHandle | null = null;
  #pending = new ByteCollector();
  #size = 0;
  #expires = "";

  constructor(path: string) {
    this.path = path;
  }

  get expiresInSeconds(): number | null {
    if (this.#expires === "") return null;
    const value = /^\d{1,9}$/.test(this.#expires) ? Number(this.#expires) : Number.NaN;
    if (value >= MIN_EXPIRY && value <= MAX_EXPIRY) return value;
    return invalid(`\`expires_in_seconds\` must be a whole number from ${MIN_EXPIRY} to ${MAX_EXPIRY}.`);
  }

  part(head: PartHead): PartWriter {
    if (head.name === "file") {
      if (this.head !== null) invalid("`file` is given twice. Upload one file per request.");
      this.head = head;
      return { write: (bytes) => this.#keep(bytes), end: () => this.#flush() };
    }
    if (head.name !== "expires_in_seconds") invalid(`Unknown field \`${head.name.slice(0, 100)}\`: remove it.`);
    return {
      write: async (bytes) => {
        if (this.#expires.length + bytes.length > MAX_FIELD_BYTES) invalid("`expires_in_seconds` is too long.");
        this.#expires += Buffer.from(bytes).toString("utf8");
      },
      end: async () => undefined,
    };
  }

  /** Lets go of the temporary file, also after an upload that broke off. */
  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = null;
  }

  async #keep(bytes: Uint8Array): Promise<void> {
    this.#size += bytes.length;
    if (this.#size > MAX_FILE_BYTES) tooLarge(MAX_FILE_BYTES);
    this.#pending.add(bytes);
    if (this.#pending.length >= WRITTEN_BYTES) await this.#flush();
  }

  /** Writes what is held back, the last of it. */
  async #flush(): Promise<void> {
    this.#handle ??= await open(this.path, "w", 0o600);
    await this.#handle.writeFile(this.#pending.taken());
    this.#pending = new ByteCollector();
  }
}

function mimeTypeOf(head: PartHead): string {
  const given = (head.contentType ?? "").split(";")[0]?.trim().toLowerCase() ?? "";
  const known = /^[a-z0-9!#$&^_.+-]{1,100}\/[a-z0-9!#$&^_.+-]{1,100}$/.test(given) ? given : "";
  if (known !== "" && known !== "application/octet-stream") return known;
  return getMimeType(head.filename ?? "")?.split(";")[0] ?? "application/octet-stream";
}

/** Only the last part of the name is kept; a file without one is `unnamed` with the extension of its type. */
function filenameOf(head: PartHead, mimeType: string): string {
  const last = basename((head.filename ?? "").replaceAll("\\", "/"));
  const name = last
    .toWellFormed()
    .replace(/\p{Cc}/gu, "")
    .slice(-255)
    .trim();
  if (name !== "" && name !== "." && name !== "..") return name;
  const extensions: Record<string, string> = {
    "text/plain": ".txt",
    "text/csv": ".csv",
    "application/json": ".json",
    "application/pdf": ".pdf",
  };
  return `unnamed${extensions[mimeType] ?? extname(last)}`;
}
