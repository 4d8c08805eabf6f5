/** Reads a repository of this disk without changing or running anything of it. */
import { lstat, readlink, realpath, stat } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import type { LocalRepositoryResource } from "../../contract/events.ts";
import { GitFailure, git } from "./git.ts";

/** The repository cannot be attached; `message` says why and what to do. */
export class RepositoryRefused extends Error {
  override readonly name = "RepositoryRefused";
}

export interface SourceFile {
  /** Path in the repository, with slashes. */
  path: string;
  content:
    | { from: "disk"; mtimeMs: number }
    /** Object id of the content. */
    | { from: "objects"; id: string }
    /** A symbolic link, as a relative path inside the repository. */
    | { from: "link"; target: string };
  executable: boolean;
  /** Bytes; 0 where that is not known before it is read. */
  size: number;
}

export interface SourceTree {
  /** Real path of the work tree. */
  top: string;
  files: SourceFile[];
  /** Things left out, in words. */
  skipped: Map<string, string[]>;
}

export const MAX_FILES = 200_000;
export const MAX_BYTES = 2 * 1024 ** 3;

const LISTED_AT_ONCE = 64;

/** What of the repository enters the sandbox. Rejects with {@link RepositoryRefused}. */
export async function readRepository(
  resource: Pick<LocalRepositoryResource, "path" | "checkout" | "include_uncommitted">,
): Promise<SourceTree> {
  const top = await workTree(resource.path);
  try {
    const { checkout } = resource;
    if (checkout === null && resource.include_uncommitted) return await readWorkTree(top);
    return await readCommit(top, await resolveCommit(top, checkout));
  } catch (error) {
    if (error instanceof GitFailure) throw new RepositoryRefused(`${resource.path}: ${error.message}`);
    throw error;
  }
}

/** Real path of the work tree at `path`. Rejects with {@link RepositoryRefused}. */
export async function workTree(path: string): Promise<string> {
  if (!isAbsolute(path)) throw new RepositoryRefused(`path must be absolute, not ${JSON.stringify(path)}.`);
  const found = await stat(path).catch(() => null);
  if (found === null) throw new RepositoryRefused(`path ${path} does not exist (or cannot be read).`);
  if (!found.isDirectory()) throw new RepositoryRefused(`path ${path} is not a folder.`);
  const top = await realpath(path);
  if ((await lstat(join(top, ".git")).catch(() => null)) !== null) return top;
  const objects = await stat(join(top, "objects")).catch(() => null);
  if (objects?.isDirectory() === true && (await stat(join(top, "HEAD")).catch(() => null)) !== null) {
    throw new RepositoryRefused(`path ${path} is a bare repository: it has no files. Give the path of a work tree.`);
  }
  for (let above = dirname(top); above !== dirname(above); above = dirname(above)) {
    if ((await lstat(join(above, ".git")).catch(() => null)) === null) continue;
    throw new RepositoryRefused(
      `path ${path} is inside the repository ${above}. Give the path of the repository itself.`,
    );
  }
  throw new RepositoryRefused(`path ${path} is not a git work tree. Run \`git init\` there, or give another path.`);
}

/** Arguments that keep git on this work tree, even if the repository's config names another one. */
function at(top: string): string[] {
  return [`--work-tree=${top}`];
}

async function readWorkTree(top: string): Promise<SourceTree> {
  const tracked = await git([...at(top), "ls-files", "-z", "--stage"], { cwd: top });
  const others = await git([...at(top), "ls-files", "-z", "--others", "--exclude-standard"], { cwd: top });
  const selection = new Selection(top);
  const paths = new Set<string>();
  for (const record of splitNul(tracked)) {
    const tab = record.indexOf(0x09);
    const path = selection.accept(record.subarray(tab + 1));
    if (path === null) continue;
    if (record.subarray(0, 6).toString() === "160000") selection.skip("submodules", path);
    else paths.add(path);
  }
  for (const record of splitNul(others)) {
    const path = selection.accept(record);
    if (path !== null) paths.add(path);
  }
  selection.checkCount(paths.size);
  const waiting = [...paths].values();
  const worker = async (): Promise<void> => {
    for (const path of waiting) await selection.look(path);
  };
  await Promise.all(Array.from({ length: LISTED_AT_ONCE }, worker));
  selection.files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { top, files: selection.files, skipped: selection.skipped };
}

/** The commit that `checkout` names, or HEAD. Rejects with {@link RepositoryRefused}. */
export async function resolveCommit(top: string, checkout: LocalRepositoryResource["checkout"]): Promise<string> {
  const candidates =
    checkout === null
      ? ["HEAD"]
      : checkout.type === "branch"
        ? [`refs/heads/${checkout.name}`, `refs/remotes/origin/${checkout.name}`]
        : [checkout.sha];
  if (checkout?.type === "commit" && !/^[0-9a-f]{4,64}$/i.test(checkout.sha)) {
    throw new RepositoryRefused(`checkout.sha ${JSON.stringify(checkout.sha)} is not the hash of a commit.`);
  }
  for (const candidate of candidates) {
    const args = [...at(top), "rev-parse", "--verify", "--quiet", "--end-of-options", `${candidate}^{commit}`];
    const id = await git(args, { cwd: top }).catch(() => null);
    if (id !== null) return id.toString().trim();
  }
  throw new RepositoryRefused(
    checkout === null
      ? `${top} has no commit yet. Commit something, or set include_uncommitted to true.`
      : checkout.type === "branch"
        ? `${top} has no branch ${JSON.stringify(checkout.name)}.`
        : `${top} has no commit ${checkout.sha}.`,
  );
}

async function readCommit(top: string, commit: string): Promise<SourceTree> {
  const listing = await git([...at(top), "ls-tree", "-r", "-z", "--full-tree", "--long", commit], { cwd: top });
  const selection = new Selection(top);
  const links: { path: string; id: string }[] = [];
  for (const record of splitNul(listing)) {
    const tab = record.indexOf(0x09);
    const [mode = "", type = "", id = "", size = "0"] = record.subarray(0, tab).toString().split(/ +/);
    const path = selection.accept(record.subarray(tab + 1));
    if (path === null) continue;
    if (type !== "blob") selection.skip("submodules", path);
    else if (mode === "120000") links.push({ path, id });
    else {
      const content = { from: "objects", id } as const;
      selection.add({ path, content, executable: mode === "100755", size: Number(size) });
    }
  }
  for (const { path, id } of links) {
    selection.addLink(path, (await git([...at(top), "cat-file", "blob", id], { cwd: top })).toString());
  }
  return { top, files: selection.files, skipped: selection.skipped };
}

/** Gathers what enters, and what is left out and why. */
class Selection {
  readonly files: SourceFile[] = [];
  readonly skipped = new Map<string, string[]>();
  readonly #top: string;
  readonly #folders = new Map<string, Promise<boolean>>();
  #bytes = 0;

  constructor(top: string) {
    this.#top = top;
  }

  skip(why: string, path: string): void {
    this.skipped.set(why, [...(this.skipped.get(why) ?? []), path]);
  }

  /** The path of a record, or null when it cannot enter. An index can be forged, so its paths are not trusted. */
  accept(bytes: Buffer): string | null {
    let path: string;
    try {
      path = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    } catch {
      this.skip("files whose name is not UTF-8", bytes.toString("latin1"));
      return null;
    }
    // Git lists a repository inside this one as a folder.
    if (path.endsWith("/")) this.skip("nested repositories", path);
    else if (path.split("/").some((part) => ["", ".", ".."].includes(part) || /^\.git$/i.test(part))) {
      this.skip("files with a forbidden path", path);
    } else return path;
    return null;
  }

  checkCount(count: number): void {
    if (count <= MAX_FILES) return;
    throw new RepositoryRefused(
      `${this.#top} has ${count} files; at most ${MAX_FILES} can enter. Ignore some in .gitignore.`,
    );
  }

  add(file: SourceFile): void {
    this.files.push(file);
    this.#bytes += file.size;
    this.checkCount(this.files.length);
    if (this.#bytes <= MAX_BYTES) return;
    throw new RepositoryRefused(
      `${this.#top} has more than 2 GB of files that would enter. Ignore the large ones in .gitignore.`,
    );
  }

  /** Adds a link if it leads to somewhere inside the repository. */
  addLink(path: string, target: string): void {
    const from = join(this.#top, dirname(path));
    const to = relative(this.#top, resolve(from, target));
    if (to === ".." || to.startsWith(`..${sep}`) || isAbsolute(to)) {
      this.skip("links that lead out of the repository", path);
      return;
    }
    const inside = isAbsolute(target) ? relative(from, target) || "." : target;
    this.add({ path, content: { from: "link", target: inside.split(sep).join("/") }, executable: false, size: 0 });
  }

  /** Adds a path of the work tree as what it is on the disk now. */
  async look(path: string): Promise<void> {
    // Behind a link there is another place: git, too, sees the file as deleted then.
    if (!(await this.#isRealFolder(dirname(path)))) return;
    const file = join(this.#top, path);
    const found = await lstat(file).catch(() => null);
    if (found === null) return;
    if (found.isSymbolicLink()) return this.addLink(path, await readlink(file));
    if (found.isDirectory()) return;
    if (!found.isFile()) return this.skip("devices, pipes and sockets", path);
    const executable = (found.mode & 0o100) !== 0;
    this.add({ path, content: { from: "disk", mtimeMs: found.mtimeMs }, executable, size: found.size });
  }

  #isRealFolder(path: string): Promise<boolean> {
    if (path === ".") return Promise.resolve(true);
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const answer = (async () => {
      if (!(await this.#isRealFolder(dirname(path)))) return false;
      return (await lstat(join(this.#top, path)).catch(() => null))?.isDirectory() === true;
    })();
    this.#folders.set(path, answer);
    return answer;
  }
}

/** The records of a NUL-terminated list, as bytes: a name need not be text. */
export function splitNul(bytes: Buffer): Buffer[] {
  const records: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
    records.push(bytes.subarray(start, end));
    start = end + 1;
  }
  return records;
}
