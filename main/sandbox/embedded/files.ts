/** The file tools' view of a sandbox folder: virtual paths to real ones and back, never out of the folder. */
import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { lstat, mkdir, open, opendir, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, posix, relative, resolve, sep } from "node:path";
import { FILE_ROOTS, FileError, type FileStat, isWithin, PathRefused, type WalkEntry, WORKDIR } from "../machine.ts";

const MAX_LINK_HOPS = 40;
const MAX_WALK_ENTRIES = 50_000;
const MAX_WALK_DEPTH = 40;
const SKIPPED = new Set([".git", "node_modules"]);
const CHUNK_BYTES = 64 * 1024;

export class SandboxFiles {
  readonly #root: string;
  readonly #scratch: string;

  /**
   * @param root real path of the folder that the agent sees as `/`
   * @param scratch folder on the same volume for files that are being written: a crash leaves them there, unseen
   */
  constructor(root: string, scratch: string) {
    this.#root = root;
    this.#scratch = scratch;
  }

  /** See {@link Machine.resolve}. */
  async resolve(path: string): Promise<string> {
    if (path.includes("\0")) throw new PathRefused(path);
    const virtual = posix.resolve(WORKDIR, path);
    const real = await system(() => this.#followLinks(this.#real(virtual), path));
    const seen = this.#virtual(real);
    if (seen === null || !FILE_ROOTS.some((root) => isWithin(root, seen))) throw new PathRefused(path);
    return seen;
  }

  async stat(path: string): Promise<FileStat> {
    const found = await system(() => lstat(this.#real(path)));
    const kind = found.isFile() ? "file" : found.isDirectory() ? "directory" : "other";
    return { kind, size: found.size };
  }

  async *read(path: string): AsyncIterable<Uint8Array> {
    // Neither followed nor waited for: the path was resolved, so a link or a pipe here was put there since.
    const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
    const target = this.#real(path);
    const file = await system(() => open(target, flags));
    try {
      if (!(await file.stat()).isFile()) throw new FileError("EINVAL");
      if ((await system(() => realpath(target))) !== target) throw new PathRefused(path);
      for (;;) {
        const { bytesRead, buffer } = await system(() => file.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES));
        if (bytesRead === 0) return;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  }

  async write(path: string, content: string): Promise<void> {
    const target = this.#real(path);
    const folder = dirname(target);
    await system(() => mkdir(folder, { recursive: true, mode: 0o700 }));
    // A folder on the way could have been swapped for a link since the path was resolved.
    const real = this.#virtual(await system(() => realpath(folder)));
    if (real === null || real !== posix.dirname(path)) throw new PathRefused(path);
    const existing = await lstat(target).catch(() => null);
    if (existing?.isDirectory()) throw new FileError("EISDIR");
    const temporary = join(this.#scratch, randomUUID());
    await system(async () => {
      try {
        const file = await open(temporary, "wx", 0o600);
        try {
          if (existing !== null) await file.chmod(existing.mode & 0o777);
          await file.writeFile(content, "utf8");
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, target);
      } catch (error) {
        await rm(temporary, { force: true });
        throw error;
      }
    });
  }

  async *walk(root: string, signal: AbortSignal): AsyncIterable<WalkEntry> {
    const top = await system(() => stat(this.#real(root)));
    if (top.isFile()) yield { path: root, mtime_ms: top.mtimeMs };
    let left = MAX_WALK_ENTRIES;
    const folders = top.isDirectory() ? [{ path: root, depth: 0 }] : [];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      for (const entry of await this.#entries(folder.path)) {
        left -= 1;
        if (left < 0 || signal.aborted) return;
        const path = posix.join(folder.path, entry.name);
        const below = entry.isDirectory() && !SKIPPED.has(entry.name) && folder.depth < MAX_WALK_DEPTH;
        if (below) folders.push({ path, depth: folder.depth + 1 });
        const found = entry.isFile() ? await lstat(this.#real(path)).catch(() => null) : null;
        if (found?.isFile()) yield { path, mtime_ms: found.mtimeMs };
      }
    }
  }

  /** Entries of a folder in the order of their names; none when it cannot be read. */
  async #entries(path: string): Promise<{ name: string; isDirectory(): boolean; isFile(): boolean }[]> {
    const entries = [];
    try {
      for await (const entry of await opendir(this.#real(path))) entries.push(entry);
    } catch {
      // Removed or locked since it was listed: the rest of the tree is still there to be walked.
      return entries;
    }
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  #real(virtual: string): string {
    return join(this.#root, ...virtual.split("/"));
  }

  /** The agent's name of a real path; null when it is not in the sandbox. */
  #virtual(real: string): string | null {
    const path = relative(this.#root, real);
    if (path === "") return "/";
    if (path === ".." || path.startsWith(`..${sep}`) || resolve(this.#root, path) !== real) return null;
    return `/${path.split(sep).join("/")}`;
  }

  /**
   * The real path without links; its end may be missing. A link to nowhere is followed by its own text, so that one
   * which leads out is seen to lead out.
   */
  async #followLinks(start: string, asked: string): Promise<string> {
    let path = start;
    for (let hops = 0; hops < MAX_LINK_HOPS; hops += 1) {
      const real = await realpath(path).catch(absent);
      if (real !== null) return real;
      const { existing, missing, isLink } = await deepestExisting(path);
      if (!isLink) return join(await realpath(existing), ...missing);
      const folder = await realpath(dirname(existing));
      // Where the way to the link already leaves the sandbox, the link's own text means nothing.
      if (this.#virtual(folder) === null) throw new PathRefused(asked);
      path = join(resolve(folder, await readlink(existing)), ...missing);
    }
    throw new FileError("ELOOP");
  }
}

async function deepestExisting(path: string): Promise<{ existing: string; missing: string[]; isLink: boolean }> {
  const missing: string[] = [];
  for (let existing = path; ; existing = dirname(existing)) {
    const found = await lstat(existing).catch(absent);
    if (found !== null) return { existing, missing, isLink: found.isSymbolicLink() };
    missing.unshift(basename(existing));
  }
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
  throw error;
}

/** Runs a file operation; a failure of the system becomes a {@link FileError} with its code. */
async function system<T>(operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (error instanceof FileError || error instanceof PathRefused || typeof code !== "string") throw error;
    throw new FileError(code);
  }
}
