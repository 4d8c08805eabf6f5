/** One mount of an embedded sandbox as a folder of this disk. The agent can change it at any moment, and is not trusted. */
import { createHash, randomUUID } from "node:crypto";
import { type BigIntStats, constants, type Dirent } from "node:fs";
import { chmod, lstat, mkdir, open, opendir, realpath, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MAX_MEMORY_BYTES, memoryPathProblem } from "../../../contract/memory/paths.ts";
import type { ChangeProblem, MountChange, MountScan, ScanLimits, Unfit } from "../../memory/port.ts";

const MAX_DEPTH = 21;
/** On Windows a backslash would separate folders, and a colon name a disk or a stream. */
const FOREIGN = process.platform === "win32" ? /[\\:]/ : /\0/;

type Entry = Pick<Dirent, "name" | "isDirectory" | "isFile" | "isSymbolicLink">;

interface Known {
  signature: string;
  sha256: string;
}

export class MountFolder {
  readonly #root: string;
  readonly #segments: readonly string[];
  readonly #scratch: string;
  readonly #limits: ScanLimits;
  /** Files that did not change since they were read need not be read again. */
  readonly #known = new Map<string, Known>();

  /**
   * @param root folder that the agent sees as `/`
   * @param mount path of the mount in it
   * @param scratch folder on the same volume, outside of `root`
   */
  constructor(root: string, mount: string, scratch: string, limits: ScanLimits) {
    this.#limits = limits;
    this.#root = root;
    this.#segments = mount.slice(1).split("/");
    this.#scratch = scratch;
  }

  /** Makes the folder; a link or a file on the way to it goes. */
  async prepare(): Promise<void> {
    let path = await realpath(this.#root);
    for (const segment of this.#segments) {
      path = join(path, segment);
      const found = await lstat(path).catch(() => null);
      if (found?.isDirectory() === true) continue;
      if (found !== null) await rm(path, { force: true });
      await mkdir(path, { mode: 0o755 });
    }
  }

  async scan(): Promise<MountScan> {
    const scan: MountScan = { files: new Map(), unfit: new Map(), gone: false, overflow: false };
    const base = await this.#base();
    if (base === null) return { ...scan, gone: true };
    const files: string[] = [];
    const folders = [{ path: "", depth: 0 }];
    let seen = 0;
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const { path: above, depth } = folder;
      const entries = await entriesIn(join(base, above), this.#limits);
      seen += 1;
      if (entries === null && above === "") return { ...scan, overflow: true };
      if (entries === null) scan.unfit.set(above, "unreadable");
      const below = sort(scan, files, above, entries ?? []);
      if (depth < MAX_DEPTH) folders.push(...below.map((path) => ({ path, depth: depth + 1 })));
      else for (const path of below) scan.unfit.set(path, "bad_name");
      const full = files.length + scan.unfit.size > this.#limits.files || seen + folders.length > this.#limits.folders;
      // Known before anything was read: what the agent piles up must not cost more than looking at its names.
      if (full) return { ...scan, overflow: true };
    }
    for (const path of files) await this.#add(scan, path);
    for (const path of this.#known.keys()) if (!scan.files.has(path)) this.#known.delete(path);
    // It went while it was looked through: what was not found then was not deleted.
    return (await this.#base()) === null ? { ...scan, gone: true } : scan;
  }

  async #add(scan: MountScan, path: string): Promise<void> {
    const found = await this.#hash(path);
    if (found === "gone") return;
    if (typeof found === "string") scan.unfit.set(path, found);
    else scan.files.set(path, found.sha256);
  }

  async #hash(path: string): Promise<{ sha256: string } | Unfit | "gone"> {
    const base = await this.#base();
    if (base === null) return "gone";
    let found: BigIntStats;
    try {
      found = await lstat(join(base, path), { bigint: true });
    } catch (error) {
      // What cannot be reached was not deleted: its folder may let itself be listed and no more.
      return isMissing(error) ? "gone" : "unreadable";
    }
    if (found.size > BigInt(MAX_MEMORY_BYTES)) return "too_large";
    const signature = [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(":");
    const known = this.#known.get(path);
    if (known?.signature === signature) return known;
    const bytes = await this.read(path);
    if (bytes === null) return "unreadable";
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    // A file that is written to just now may change again within the clock's resolution.
    if (Date.now() - Number(found.mtimeMs) > 2000) this.#known.set(path, { signature, sha256 });
    return { sha256 };
  }

  /** Null when it is no regular file of at most 102,400 bytes that can be read. */
  async read(path: string): Promise<Uint8Array | null> {
    const base = await this.#base();
    if (base === null || FOREIGN.test(path)) return null;
    const target = join(base, ...path.split("/"));
    // Neither followed nor waited for: a link or a pipe could have been put there since it was looked at.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
    const file = await open(target, flags).catch(() => null);
    if (file === null) return null;
    try {
      if (!(await file.stat()).isFile()) return null;
      // Looked up again after it was opened: a folder on the way may have become a link.
      if ((await realpath(target)) !== target) return null;
      const { buffer, bytesRead } = await readUpTo(file, MAX_MEMORY_BYTES + 1);
      return bytesRead > MAX_MEMORY_BYTES ? null : buffer.subarray(0, bytesRead);
    } catch {
      return null;
    } finally {
      await file.close();
    }
  }

  /** Null when it was made. */
  async apply(change: MountChange, mode: number): Promise<ChangeProblem | null> {
    const base = await this.#base();
    if (base === null) return "blocked";
    // Memories cannot have such a path; what the agent made can, and is removed in a read-only mount only.
    if (change.op === "write" && (memoryPathProblem(change.path) !== null || FOREIGN.test(change.path)))
      return "failed";
    try {
      const force = change.expected === "any";
      const folder = await this.#enter(base, change.path, change.op === "write", force);
      if (folder === null) return change.op === "remove" ? null : "blocked";
      const problem = await this.#refusal(change, join(base, change.path));
      if (problem !== null) return problem;
      if (change.op === "write") await this.#write(join(base, change.path), change.content, mode);
      else await this.#remove(base, change.path, force);
      return null;
    } catch {
      return "failed";
    }
  }

  /** The folder of a path, made when it is missing; null when it is missing, or when something else is on the way. */
  async #enter(base: string, path: string, make: boolean, force: boolean): Promise<string | null> {
    let folder = base;
    for (const segment of path.slice(1).split("/").slice(0, -1)) {
      folder = join(folder, segment);
      const found = await lstat(folder).catch(() => null);
      if (found?.isDirectory() === true) continue;
      if (!make || (found !== null && !force)) return null;
      if (found !== null) await rm(folder, { force: true });
      await mkdir(folder, { mode: 0o755 });
    }
    return (await realpath(folder)) === folder ? folder : null;
  }

  /** Why a change of the file at `target` may not be made: it is not what the change goes by. */
  async #refusal(change: MountChange, target: string): Promise<ChangeProblem | null> {
    const found = await lstat(target).catch(() => null);
    if (change.expected === "any") {
      if (change.op === "write" && found !== null && !found.isFile())
        await rm(target, { recursive: true, force: true });
      return null;
    }
    if (found === null) return change.op === "remove" || change.expected === null ? null : "changed";
    if (!found.isFile()) return "blocked";
    this.#known.delete(change.path);
    const now = await this.#hash(change.path);
    return typeof now !== "string" && now.sha256 === change.expected ? null : "changed";
  }

  async #write(target: string, content: string, mode: number): Promise<void> {
    for (const folder of [dirname(this.#scratch), this.#scratch]) await makeOwn(folder);
    const temporary = join(this.#scratch, randomUUID());
    try {
      await writeFile(temporary, content, { flag: "wx", mode });
      await chmod(temporary, mode);
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
  }

  async #remove(base: string, path: string, recursive: boolean): Promise<void> {
    await rm(join(base, path), { force: true, recursive });
    for (let folder = dirname(path); folder !== "/"; folder = dirname(folder)) {
      const removed = await rmdir(join(base, folder)).then(
        () => true,
        () => false,
      );
      if (!removed) return;
    }
  }

  /** Real path of the mount; null when the agent removed it or put a link in its place. */
  async #base(): Promise<string | null> {
    const path = join(await realpath(this.#root), ...this.#segments);
    const real = await realpath(path).catch(() => null);
    if (real !== path) return null;
    return (await lstat(path)).isDirectory() ? path : null;
  }
}

/** Adds what is in a folder to the scan, files to `files`; returns the folders in it. */
function sort(scan: MountScan, files: string[], above: string, entries: readonly Entry[]): string[] {
  const folders: string[] = [];
  for (const entry of entries) {
    const path = `${above}/${entry.name}`;
    // A name that is no UTF-8 is not found again by its text.
    if (entry.name.includes("\ufffd")) scan.unfit.set(path, "bad_name");
    else if (entry.isDirectory()) folders.push(path);
    else if (entry.isFile()) files.push(path);
    else scan.unfit.set(path, entry.isSymbolicLink() ? "link" : "special");
  }
  return folders;
}

/** What is in a folder, some more than is looked through at most; null when it cannot be read. */
async function entriesIn(folder: string, limits: ScanLimits): Promise<Entry[] | null> {
  const entries: Entry[] = [];
  try {
    for await (const entry of await opendir(folder)) {
      entries.push(entry);
      if (entries.length > limits.files + limits.folders) break;
    }
  } catch (error) {
    return isMissing(error) ? [] : null;
  }
  // It may have become a link to a folder that is none of the agent's.
  return (await realpath(folder).catch(() => null)) === folder ? entries : null;
}

/** Makes one of our folders, in one that is there: a sandbox that was removed in this moment must not come back. */
export async function makeOwn(folder: string): Promise<void> {
  await mkdir(folder, { mode: 0o700 }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
}

function isMissing(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || code === "ENOTDIR";
}

async function readUpTo(
  file: { read(buffer: Buffer, offset: number, length: number): Promise<{ bytesRead: number }> },
  limit: number,
): Promise<{ buffer: Buffer; bytesRead: number }> {
  const buffer = Buffer.alloc(limit);
  let bytesRead = 0;
  while (bytesRead < limit) {
    const { bytesRead: more } = await file.read(buffer, bytesRead, limit - bytesRead);
    if (more === 0) break;
    bytesRead += more;
  }
  return { buffer, bytesRead };
}
