/** Tar archives for small things: the folders of a sandbox, its runner, a marker. */
import type { Readable } from "node:stream";
import { extract, pack } from "tar-stream";

export interface ArchiveEntry {
  /** Absolute path in the container; a folder ends with a slash. */
  path: string;
  mode: number;
  uid: number;
  gid: number;
  /** Of a file. */
  content?: string | Uint8Array;
  /** A pipe. */
  fifo?: boolean;
}

/** An archive to be unpacked at `/`. */
export async function archive(entries: readonly ArchiveEntry[]): Promise<Buffer> {
  const tar = pack();
  const mtime = new Date();
  for (const { path, mode, uid, gid, content, fifo } of entries) {
    const header = { name: path.replace(/^\/+/, ""), mode, uid, gid, mtime };
    if (path.endsWith("/")) tar.entry({ ...header, type: "directory" });
    else if (fifo === true) tar.entry({ ...header, type: "fifo" });
    else tar.entry(header, Buffer.from(content ?? ""));
  }
  tar.finalize();
  const chunks: Buffer[] = [];
  for await (const chunk of tar) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** The first regular file of an archive, as text; null when there is none or it is longer than `limit` bytes. */
export async function firstFile(tar: Readable, limit: number): Promise<string | null> {
  const reader = extract();
  let text: string | null = null;
  tar.once("error", (error) => reader.destroy(error));
  tar.pipe(reader);
  try {
    for await (const entry of reader) {
      if (entry.header.type === "file" && (entry.header.size ?? 0) <= limit) {
        const chunks: Buffer[] = [];
        for await (const chunk of entry) chunks.push(chunk as Buffer);
        text = Buffer.concat(chunks).toString("utf8");
      }
      break;
    }
  } finally {
    tar.destroy();
  }
  return text;
}
