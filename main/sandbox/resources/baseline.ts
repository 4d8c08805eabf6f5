/**
 * What entered the sandbox, kept in a git object store of ours, and the patch from there to what is in the sandbox now.
 * Git makes the patch, so git can apply it; neither the user's repository nor its config takes part.
 */
import { copyFile, lstat, mkdir, readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import { type Diff, diffTrees } from "./diff.ts";
import { git } from "./git.ts";

/** Attributes of a repository could convert line endings or encodings; a patch must show the bytes that are there. */
export const EXACT_ATTRIBUTES = "* -text !eol -filter -ident !working-tree-encoding !diff !merge\n";
/** Paths are exact, and modes are those of the files. */
const SETTINGS = ["core.autocrlf=false", "core.safecrlf=false", "core.looseCompression=1", "core.symlinks=true"];

const TREE_FILE = "longhaul-tree";

interface Place {
  gitDir: string;
  tree: string;
}

function run(place: Place, args: readonly string[], more: { input?: string; index?: string; maxOutput?: number } = {}) {
  const settings = SETTINGS.flatMap((setting) => ["-c", setting]);
  return git([`--git-dir=${place.gitDir}`, `--work-tree=${place.tree}`, ...settings, ...args], {
    cwd: place.tree,
    ...(more.input === undefined ? {} : { input: more.input }),
    ...(more.maxOutput === undefined ? {} : { maxOutput: more.maxOutput }),
    ...(more.index === undefined ? {} : { env: { GIT_INDEX_FILE: more.index } }),
  });
}

/**
 * Records the files `paths` of the folder `tree` in the new folder `gitDir`.
 * @param excludes lines of ignore patterns that the repository keeps outside its files
 * @param format of the repository's own objects, so that both can be told apart by the same ids
 */
export async function createBaseline(
  gitDir: string,
  tree: string,
  paths: readonly string[],
  excludes: string,
  format: "sha1" | "sha256" = "sha1",
): Promise<void> {
  const place = { gitDir, tree };
  await mkdir(gitDir, { recursive: true });
  await run(place, ["init", "--quiet", "--template=", ...(format === "sha1" ? [] : [`--object-format=${format}`])]);
  await mkdir(join(gitDir, "info"), { recursive: true });
  await writeFile(join(gitDir, "info/attributes"), EXACT_ATTRIBUTES);
  await writeFile(join(gitDir, "info/exclude"), excludes);
  await run(place, ["update-index", "--add", "-z", "--stdin"], { input: nulTerminated(paths) });
  await writeFile(join(gitDir, TREE_FILE), await run(place, ["write-tree"]));
}

/** Ignore patterns of a work tree that are not in its files; empty when there are none. */
export async function ownExcludes(top: string): Promise<string> {
  const common = await git(["rev-parse", "--git-path", "info/exclude"], { cwd: top }).catch(() => null);
  if (common === null) return "";
  const path = common.toString().trim();
  return readFile(isAbsolute(path) ? path : join(top, path), "utf8").catch(() => "");
}

/**
 * The changes from what was recorded in `gitDir` to what is in `tree` now. Ignored files are not changes.
 * @param root real path of what the agent sees as `/`: links into it are written as relative ones
 */
export async function changesSince(gitDir: string, tree: string, root: string): Promise<Diff> {
  const { before, after } = await treesSince(gitDir, tree, root);
  return diffTrees(gitDir, before, after);
}

/** Ids of the recorded tree and of the one there is now; both are among the objects of `gitDir` then. */
export async function treesSince(
  gitDir: string,
  tree: string,
  root: string,
): Promise<{ before: string; after: string }> {
  const before = (await readFile(join(gitDir, TREE_FILE), "utf8")).trim();
  // An empty folder stands for one that the agent removed.
  const gone = (await stat(tree).catch(() => null))?.isDirectory() !== true;
  const place = { gitDir, tree: gone ? join(gitDir, "empty") : tree };
  if (gone) await mkdir(place.tree, { recursive: true });
  // Work on a copy: a process that dies here must not leave a half-written or locked index.
  const index = join(gitDir, `index.${process.pid}.${Math.random().toString(36).slice(2)}`);
  try {
    await copyIndex(join(gitDir, "index"), index);
    await updateIndex(place, index, root);
    return { before, after: (await run(place, ["write-tree"], { index })).toString().trim() };
  } finally {
    await rm(index, { force: true });
    await rm(`${index}.lock`, { force: true });
  }
}

/**
 * Git compares a file's content only when its time is not older than the index; a copy that is younger than its original
 * would hide changes made right after the original was written.
 */
async function copyIndex(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  const second = Math.floor((await stat(from)).mtimeMs / 1000) - 1;
  await utimes(to, second, second);
}

async function updateIndex(place: Place, index: string, root: string): Promise<void> {
  // Also what is behind a folder that is a link now: the lists below would look through the link, into another place.
  const gone = await run(place, ["diff-files", "-z", "--name-only", "--diff-filter=D"], { index });
  const remove = ["update-index", "--force-remove", "-z", "--stdin"];
  if (gone.length > 0) await run(place, remove, { index, input: gone.toString("utf8") });
  const changed = await run(place, ["ls-files", "-z", "--modified"], { index });
  const others = await run(place, ["ls-files", "-z", "--others", "--exclude-standard"], { index });
  const paths = new Set([...nulSeparated(changed), ...nulSeparated(others)]);
  const direct: string[] = [];
  const links: string[] = [];
  for (const path of paths) {
    // A repository that the agent made inside: its files are its own business.
    if (path.endsWith("/")) continue;
    const target = await relativeTarget(join(place.tree, path), root);
    if (target === null) direct.push(path);
    else links.push(await linkEntry(place, path, target));
  }
  const update = ["update-index", "--add", "--remove", "--replace", "-z"];
  if (direct.length > 0) await run(place, [...update, "--stdin"], { index, input: nulTerminated(direct) });
  if (links.length > 0) await run(place, [...update, "--index-info"], { index, input: nulTerminated(links) });
}

/** The shell writes an absolute link with its path on this disk; elsewhere only a relative one means anything. */
async function relativeTarget(path: string, root: string): Promise<string | null> {
  const found = await lstat(path).catch(() => null);
  if (found?.isSymbolicLink() !== true) return null;
  const target = await readlink(path);
  if (!isAbsolute(target) || !(target === root || target.startsWith(root + sep))) return null;
  return relative(dirname(path), target).split(sep).join("/") || ".";
}

async function linkEntry(place: Place, path: string, target: string): Promise<string> {
  const id = await run(place, ["hash-object", "-w", "--stdin", "--no-filters"], { input: target });
  return `120000 ${id.toString().trim()}\t${path}`;
}

function nulTerminated(records: readonly string[]): string {
  return records.map((record) => `${record}\0`).join("");
}

function nulSeparated(bytes: Buffer): string[] {
  return bytes.toString("utf8").split("\0").slice(0, -1);
}
