/** What was brought into a container, remembered in it where the agent can read and not write. */
import { once } from "node:events";
import { createReadStream } from "node:fs";
import { Readable } from "node:stream";
import { extract, type Header, pack } from "tar-stream";
import { SandboxLost } from "../../port.ts";
import { isObjectId } from "../../resources/history/source.ts";
import type { Container, ExecOptions, ExecResult } from "../ports.ts";
import { NO_GIT, QUIET_GIT } from "./scripts.ts";

/** Root's own; only `scratch` below it belongs to the agent. */
export const STATE_DIR = "/var/lib/longhaul-resources";
export const MARKERS = `${STATE_DIR}/markers`;
export const SCRATCH = `${STATE_DIR}/scratch`;
export const AGENT_ID = 1000;
const MAX_MARKER_BYTES = 4096;

/** "placing": half in, to be cleared away; "failed": nothing is in; "complete": in, and the agent may have changed it since. */
export interface Marker {
  state: "placing" | "failed" | "complete";
  /** Commit that was checked out; of repositories that were cloned from elsewhere. */
  entry?: string;
}

export interface TarFile {
  path: string;
  uid?: number;
  mode?: number;
  /** Bytes, or a file of this disk after some bytes of ours. */
  content: Uint8Array | { start: Uint8Array; file: string; fileSize: number } | "folder";
}

/** An archive to unpack at `/`; made while it is read, so that its size costs no memory. */
export function tarOf(files: readonly TarFile[]): Readable {
  const archive = pack();
  const write = async (): Promise<void> => {
    for (const { path, uid = 0, mode = 0o444, content } of files) {
      const header = { name: path.replace(/^\/+/, ""), uid, gid: uid, mode, mtime: new Date() };
      if (content === "folder") archive.entry({ ...header, type: "directory" });
      else if (content instanceof Uint8Array) archive.entry(header, Buffer.from(content));
      else {
        // Streams the file: a bundle can be gigabytes.
        const entry = archive.entry({ ...header, size: content.start.byteLength + content.fileSize });
        entry.write(Buffer.from(content.start));
        for await (const chunk of createReadStream(content.file)) {
          if (!entry.write(chunk)) await once(entry, "drain");
        }
        entry.end(null);
        await once(entry, "finish");
      }
    }
    archive.finalize();
  };
  write().catch((error: unknown) => archive.destroy(error instanceof Error ? error : new Error(String(error))));
  return Readable.from(archive);
}

/** Makes the folders of {@link STATE_DIR}; again is no harm. */
export function stateFolders(): TarFile[] {
  return [
    { path: STATE_DIR, mode: 0o755, content: "folder" },
    { path: MARKERS, mode: 0o755, content: "folder" },
    { path: SCRATCH, mode: 0o700, uid: AGENT_ID, content: "folder" },
  ];
}

export function markerFile(name: string, marker: Marker): TarFile {
  return { path: `${MARKERS}/${name}`, content: Buffer.from(JSON.stringify(marker)) };
}

/** Every marker by its name. */
export async function readMarkers(container: Container): Promise<Map<string, Marker>> {
  const markers = new Map<string, Marker>();
  const tar = await container.getTar(MARKERS);
  if (tar === null) return markers;
  for await (const { header, body } of entriesOf(tar)) {
    if (header.type !== "file" || (header.size ?? 0) > MAX_MARKER_BYTES) continue;
    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk);
    markers.set(header.name.split("/").at(-1) ?? "", parseMarker(Buffer.concat(chunks).toString("utf8")));
  }
  return markers;
}

function parseMarker(text: string): Marker {
  try {
    const { state, entry } = JSON.parse(text) as Partial<Marker>;
    if (state === "failed") return { state };
    if (state === "complete") return { state, ...(typeof entry === "string" && isObjectId(entry) ? { entry } : {}) };
  } catch {
    // Torn by a power cut: it says no more than that the files may be half in.
  }
  return { state: "placing" };
}

export interface TarEntry {
  header: Header;
  body: AsyncIterable<Buffer>;
}

/** The entries of an archive, one after the other; what is not read of a body is skipped. Leaving early ends the transfer. */
export async function* entriesOf(tar: Readable): AsyncGenerator<TarEntry> {
  const reader = extract();
  tar.once("error", (error) => reader.destroy(error));
  tar.once("close", () => {
    if (!tar.readableEnded) reader.destroy(new SandboxLost("The container engine broke off while it sent files."));
  });
  tar.pipe(reader);
  try {
    for await (const entry of reader) {
      yield { header: entry.header, body: entry as AsyncIterable<Buffer> };
      entry.resume();
    }
  } finally {
    reader.destroy();
    tar.destroy();
  }
}

/** Runs a script of ours as the agent. Rejects when the container is gone, or on a time or output limit. */
export function runScript(
  container: Container,
  script: string,
  args: readonly string[],
  options: Pick<ExecOptions, "timeoutMs" | "onLine" | "input"> & { env?: Record<string, string> } = {},
): Promise<ExecResult> {
  const { env, ...limits } = options;
  return container.exec(["/bin/sh", "-c", script, "sh", ...args], {
    user: "agent",
    env: { HOME: "/home/agent", ...QUIET_GIT, ...env },
    ...limits,
  });
}

/** Why a script failed, in words. */
export function failureText({ exitCode, stderr }: Pick<ExecResult, "exitCode" | "stderr">): string {
  if (exitCode === NO_GIT) {
    return "The sandbox's image has no git. Install git in the image, or use the image that comes with Longhaul.";
  }
  const text = stderr.replace(/[^\n]*\r/g, "").trim();
  if (/no space left|disk quota/i.test(text)) return `The sandbox's disk is full (${text.split("\n").at(-1)}).`;
  return text === "" ? `git ended with status ${exitCode}.` : text.slice(-1000);
}
