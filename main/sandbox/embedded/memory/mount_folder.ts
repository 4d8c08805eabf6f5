/** One mount of an embedded sandbox as a folder of this disk. The agent can change it at any moment, and is not trusted. */
import { createHash, randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { chmod, lstat, mkdir, open, opendir, realpath, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { MAX_MEMORY_BYTES, memoryPathProblem } from "../../../contract/memory_paths.ts";
import type { ChangeProblem, MountChange, MountScan, Unfit } from "../../memory/port.ts";

/** Entries that are looked through. A store has at most 2,000 memories. */
const MAX_ENTRIES = 10_000;
const MAX_DEPTH = 21;
/** On Windows a backslash would separate folders, and a colon name a disk or a stream. */
const FOREIGN = process.platform === "win32" ? /[\\:]/ : /\0/;

interface Known {
  signature: string;
  sha256: string;
}

export class MountFolder {
  readonly #root: string;
  readonly #segments: readonly string[];
  readonly #scratch: string;
  /** Files that did not change since they were read need not be read again. */
  readonly #known = new Map<string, Known>();

  /**
   * @param root folder that the agent sees as `/`
   * @param mount path of the mount in it
   * @param scratch folder on the same volume, outside of `root`
   */
  constructor(root: string, mount: string, scratch: string) {
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
    let left = MAX_ENTRIES;
    const folders = [{ path: "", depth: 0 }];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      const { path: above, depth } = folder;
      const names = await namesIn(join(base, above), left);
      left -= names?.length ?? 0;
      if (left <= 0 || (names === null && above === "")) return { ...scan, overflow: true };
      if (names === null) scan.unfit.set(above, "unreadable");
      const below = await this.#sort(scan, base, above, names ?? []);
      if (depth < MAX_DEPTH) folders.push(...below.map((path) => ({ path, depth: depth + 1 })));
      else for (const path of below) scan.unfit.set(path, "bad_name");
    }
    for (const path of this.#known.keys()) if (!scan.files.has(path)) this.#known.delete(path);
    return scan;
  }

  /** Adds what is in a folder to the scan; resolves with the folders in it. */
  async #sort(scan: MountScan, base: string, above: string, names: readonly string[]): Promise<string[]> {
    const folders: string[] = [];
    for (const name of names) {
      const path = `${above}/${name}`;
      const kind = await kindOf(join(base, path), name);
      if (kind === "folder") folders.push(path);
      else if (kind === "file") await this.#add(scan, path);
      else if (kind !== "gone") scan.unfit.set(path, kind);
    }
    return folders;
  }

  async #add(scan: MountScan, path: string): Promise<void> {
    const sha256 = await this.#hash(path);
    if (sha256 === null) scan.unfit.set(path, "unreadable");
    else scan.files.set(path, sha256);
  }

  /** Null when it is no regular file of at most 102,400 bytes, or cannot be read. */
  async #hash(path: string): Promise<string | null> {
    const base = await this.#base();
    const found = base === null ? null : await lstat(join(base, path), { bigint: true }).catch(() => null);
    if (found === null) return null;
    const signature = [found.ino, found.size, found.mtimeNs, found.ctimeNs].join(":");
    const known = this.#known.get(path);
    if (known?.signature === signature) return known.sha256;
    const bytes = await this.read(path);
    if (bytes === null) return null;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    // A file that is written to just now may change again within the clock's resolution.
    if (Date.now() - Number(found.mtimeMs) > 2000) this.#known.set(path, { signature, sha256 });
    return sha256;
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
    return (await this.#hash(change.path)) === change.expected ? null : "changed";
  }

  async #write(target: string, content: string, mode: number): Promise<void> {
    await mkdir(this.#scratch, { recursive: true, mode: 0o700 });
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

async function kindOf(path: string, name: string): Promise<"folder" | "file" | "gone" | Unfit> {
  const found = await lstat(path).catch(() => null);
  // A name that is no UTF-8 is not found again by its text.
  if (name.includes("\ufffd")) return "bad_name";
  if (found === null) return "gone";
  if (found.isDirectory()) return "folder";
  if (found.isSymbolicLink()) return "link";
  if (!found.isFile()) return "special";
  return found.size > MAX_MEMORY_BYTES ? "too_large" : "file";
}

/** At most `limit` names; null when the folder cannot be read. */
async function namesIn(folder: string, limit: number): Promise<string[] | null> {
  const names: string[] = [];
  try {
    for await (const entry of await opendir(folder)) {
      names.push(entry.name);
      if (names.length >= limit) break;
    }
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? [] : null;
  }
  return names;
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
