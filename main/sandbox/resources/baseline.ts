/**
 * What entered the sandbox, kept in a git object store of ours, and the patch from there to what is in the sandbox now.
 * Git makes the patch, so git can apply it; neither the user's repository nor its config takes part.
 */
import { isUtf8 } from "node:buffer";
import { copyFile, lstat, mkdir, readFile, readlink, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, sep } from "node:path";
import type { ChangedFile } from "../../contract/local_api.ts";
import { GitFailure, git } from "./git.ts";

/** Attributes of a repository could convert line endings or encodings; a patch must show the bytes that are there. */
const ATTRIBUTES = "* -text !eol -filter -ident !working-tree-encoding !diff !merge\n";
/** Paths are exact, and modes are those of the files. */
const SETTINGS = ["core.autocrlf=false", "core.safecrlf=false", "core.looseCompression=1", "core.symlinks=true"];

const TREE_FILE = "longhaul-tree";
export const MAX_PATCH_BYTES = 64 * 1024 * 1024;

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
 */
export async function createBaseline(
  gitDir: string,
  tree: string,
  paths: readonly string[],
  excludes: string,
): Promise<void> {
  const place = { gitDir, tree };
  await mkdir(gitDir, { recursive: true });
  await run(place, ["init", "--quiet", "--template="]);
  await mkdir(join(gitDir, "info"), { recursive: true });
  await writeFile(join(gitDir, "info/attributes"), ATTRIBUTES);
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
export async function changesSince(
  gitDir: string,
  tree: string,
  root: string,
): Promise<{ patch: string; files: ChangedFile[] }> {
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
    const after = (await run(place, ["write-tree"], { index })).toString().trim();
    const facts = await run(place, [...DIFF, "-z", "--raw", "--numstat", before, after]);
    const files = changedFiles(facts.toString("utf8"));
    return { patch: await textPatch(place, before, after, files), files };
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

const DIFF = ["diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all"];
const PATCH = [...DIFF, "-p", "--binary", "--full-index"];

/**
 * The patch as text. Git takes a file in another encoding for text too, but its bytes would not survive as a string: the
 * patches of such files are made as those of binary ones.
 */
async function textPatch(place: Place, before: string, after: string, files: readonly ChangedFile[]): Promise<string> {
  const whole = await run(place, [...PATCH, before, after], { maxOutput: MAX_PATCH_BYTES });
  if (isUtf8(whole)) return whole.toString("utf8");
  const asBinary = await binaryView(place);
  let patch = "";
  for (const { path } of files) {
    const one = [...PATCH, before, after, "--", `:(top,literal)${path}`];
    const text = await run(place, one, { maxOutput: MAX_PATCH_BYTES });
    patch += isUtf8(text) ? text.toString("utf8") : (await asBinary(one)).toString("utf8");
    if (patch.length > MAX_PATCH_BYTES) throw new GitFailure(`the patch is larger than ${MAX_PATCH_BYTES} bytes`);
  }
  return patch;
}

/** The same objects seen by a repository that takes every file for a binary one. */
async function binaryView(place: Place): Promise<(args: readonly string[]) => Promise<Buffer>> {
  const gitDir = join(place.gitDir, "binary");
  const env = { GIT_OBJECT_DIRECTORY: join(place.gitDir, "objects") };
  const view = (args: readonly string[]): Promise<Buffer> =>
    git([`--git-dir=${gitDir}`, ...args], { cwd: place.gitDir, env, maxOutput: MAX_PATCH_BYTES });
  await mkdir(join(gitDir, "info"), { recursive: true });
  await view(["init", "--quiet", "--bare", "--template="]);
  await writeFile(join(gitDir, "info/attributes"), "* -diff\n");
  return view;
}

async function updateIndex(place: Place, index: string, root: string): Promise<void> {
  const changed = await run(place, ["ls-files", "-z", "--modified", "--deleted"], { index });
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

/** Reads what `diff-tree -z --raw --numstat` says: first the states, then the line counts, both by path. */
function changedFiles(facts: string): ChangedFile[] {
  const files = new Map<string, ChangedFile>();
  const fields = facts.split("\0");
  for (let i = 0; i < fields.length; i += 1) {
    const field = fields[i] ?? "";
    if (field.startsWith(":")) {
      const letter = field.split(" ")[4] ?? "M";
      const status = letter === "A" ? "added" : letter === "D" ? "deleted" : "modified";
      i += 1;
      const path = fields[i] ?? "";
      files.set(path, { path, status, additions: 0, deletions: 0, binary: false });
      continue;
    }
    const counts = /^(-|\d+)\t(-|\d+)\t(.*)$/s.exec(field);
    const file = counts === null ? undefined : files.get(counts[3] ?? "");
    if (counts === null || file === undefined) continue;
    file.binary = counts[1] === "-";
    file.additions = file.binary ? 0 : Number(counts[1]);
    file.deletions = file.binary ? 0 : Number(counts[2]);
  }
  return [...files.values()];
}

function nulTerminated(records: readonly string[]): string {
  return records.map((record) => `${record}\0`).join("");
}

function nulSeparated(bytes: Buffer): string[] {
  return bytes.toString("utf8").split("\0").slice(0, -1);
}
