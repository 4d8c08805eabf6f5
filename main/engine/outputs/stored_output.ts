/** One file of an outputs folder on its way into the files of its session. */
import { basename } from "node:path";
import { getMimeType } from "hono/utils/mime";
import { newId } from "../../contract/ids.ts";
import type { OutputFile } from "../../contract/local_api.ts";
import { SandboxLost } from "../../sandbox/port.ts";
import type { BlobStore, Catalog, FileRecord } from "../../session/catalog.ts";
import type { Ledger } from "../../session/ledger.ts";
import type { Records } from "../../session/records/records.ts";
import type { SessionSandboxes } from "../session_sandboxes.ts";

export interface OutputPorts {
  ledger: Pick<Ledger, "getSession" | "emitEvent" | "subscribe">;
  catalog: Pick<Catalog, "putFile" | "listFiles" | "deleteFile">;
  blobs: Pick<BlobStore, "put">;
  records: Records;
  sandboxes: Pick<SessionSandboxes, "outputs" | "readOutput">;
  /** True while the session runs or waits for its turn. */
  isAtWork(sessionId: string): boolean;
  now(): number;
  /** Told why the outputs of a session could not be stored; it is tried again when something happens in the session. */
  onError(sessionId: string, error: unknown): void;
}

export interface Skipped {
  path: string;
  reason: string;
}

/** Disks and clocks tell times this roughly: a file that was changed so recently may change again without showing it. */
const UNSETTLED_MS = 3_000;
const CHANGED = "It changed while it was read.";

/**
 * @param known the record of this path, if there is one
 * Rejects with SandboxLost or LedgerWriteError.
 * @returns the new record; null when the known one holds these bytes; why it was not stored; or that the session is gone
 */
export async function storeOutput(
  ports: OutputPorts,
  sessionId: string,
  output: OutputFile,
  known: FileRecord | undefined,
): Promise<FileRecord | null | Skipped | "gone"> {
  const { path, modified_at } = output;
  const { catalog } = ports;
  if (known?.output?.settled === true && known.output.modified_at === modified_at && known.size_bytes === output.size) {
    return null;
  }
  const settled = ports.now() - Date.parse(modified_at) > UNSETTLED_MS;
  const read = await readWhole(ports, sessionId, output);
  if ("reason" in read) return read;
  const { size, sha256 } = read;
  const place = { path, modified_at, settled };
  if (known?.sha256 === sha256) {
    await catalog.putFile({ ...known, output: place });
    return (await isGone(ports, sessionId, known.id)) ? "gone" : null;
  }
  const record: FileRecord = {
    id: newId("file"),
    type: "file",
    filename: basename(path),
    mime_type: getMimeType(path)?.split(";")[0] ?? "application/octet-stream",
    size_bytes: size,
    downloadable: true,
    created_at: new Date(ports.now()).toISOString(),
    expires_at: null,
    scope: { id: sessionId, type: "session" },
    sha256,
    output: place,
  };
  // In one step: an engine that is killed here leaves one file of this path.
  await catalog.putFile(record, known?.id);
  return (await isGone(ports, sessionId, record.id)) ? "gone" : record;
}

/** Stores the bytes. Rejects with SandboxLost; any other failure is one of this file. */
async function readWhole(
  { sandboxes, blobs }: OutputPorts,
  sessionId: string,
  { path, size: listed }: OutputFile,
): Promise<{ size: number; sha256: string } | Skipped> {
  try {
    const found = await sandboxes.readOutput(sessionId, path);
    if (found === null) return { path, reason: "It was removed, or became a link, before it could be read." };
    if (found.size > listed) {
      // It was chosen by the size that it had: now it may be larger than memory is.
      found.stream.destroy();
      return { path, reason: CHANGED };
    }
    const bytes = Buffer.allocUnsafe(found.size);
    let size = 0;
    for await (const chunk of found.stream as AsyncIterable<Buffer>) {
      if (size + chunk.length > bytes.length) return { path, reason: CHANGED };
      size += chunk.copy(bytes, size);
    }
    return size === found.size ? { size, sha256: await blobs.put(bytes) } : { path, reason: CHANGED };
  } catch (error) {
    if (error instanceof SandboxLost) throw error;
    return { path, reason: error instanceof Error ? error.message : String(error) };
  }
}

/** True when the session was deleted meanwhile; its files are removed after its events, so what came later is removed here. */
async function isGone({ ledger, catalog }: OutputPorts, sessionId: string, fileId: string): Promise<boolean> {
  if ((await ledger.getSession(sessionId)) !== null) return false;
  await catalog.deleteFile(fileId);
  return true;
}
