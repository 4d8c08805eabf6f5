/** The patch between two trees of a repository of ours. */
import { isUtf8 } from "node:buffer";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ChangedFile } from "../../contract/local_api.ts";
import { GitFailure, git } from "./git.ts";

export interface Diff {
  /** Unified diff that `git apply` takes. */
  patch: string;
  files: ChangedFile[];
  /** What the patch leaves out, in words; missing when it is complete. */
  note?: string;
}

/** One path of a diff, as git's raw format has it; zeros where there is nothing. */
export interface RawChange {
  oldId: string;
  oldMode: string;
  newMode: string;
  newId: string;
  path: string;
}

export const MAX_PATCH_BYTES = 64 * 1024 * 1024;
/** Larger contents are not put into a patch: whoever reads it would have to hold them in memory. */
const MAX_CONTENT_BYTES = 16 * 1024 * 1024;
const MAX_LEFT_OUT = 500;
const TIMEOUT_MS = 120_000;

const DIFF = ["diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=all"];
const PATCH = [...DIFF, "-p", "--binary", "--full-index"];

interface Trees {
  gitDir: string;
  before: string;
  after: string;
}

function run(
  gitDir: string,
  args: readonly string[],
  more: { input?: string; maxOutput?: number } = {},
): Promise<Buffer> {
  const settings = ["-c", `core.bigFileThreshold=${2 * MAX_CONTENT_BYTES}`];
  return git([...inside(gitDir), ...settings, ...args], { cwd: gitDir, timeoutMs: TIMEOUT_MS, ...more });
}

/** No work tree takes part, not even the one that the config of a repository names. */
function inside(gitDir: string): string[] {
  return [`--git-dir=${gitDir}`, `--work-tree=${gitDir}`];
}

/** @param before @param after ids of trees or commits of `gitDir`. Rejects with {@link GitFailure}. */
export async function diffTrees(gitDir: string, before: string, after: string): Promise<Diff> {
  const trees = { gitDir, before, after };
  const facts = await run(gitDir, [...DIFF, "-z", "--raw", "--numstat", before, after]);
  const files = changedFiles(facts.toString("utf8"));
  const changes = await rawChanges(gitDir, before, after);
  const large = await largePaths(gitDir, changes);
  if (large.length > MAX_LEFT_OUT) {
    return {
      patch: "",
      files,
      note: `The patch is left out: ${large.length} of the files are larger than it may hold.`,
    };
  }
  const patch = await textPatch(trees, changes, large);
  if (patch === null) {
    const limit = `${MAX_PATCH_BYTES / 1024 / 1024} MB`;
    return {
      patch: "",
      files,
      note: `The patch is left out: it is larger than ${limit}. Bring the changes back as a branch.`,
    };
  }
  if (large.length === 0) return { patch, files };
  const names = large.slice(0, 5).map((path) => JSON.stringify(path));
  const more = large.length > 5 ? ` and ${large.length - 5} more` : "";
  return {
    patch,
    files,
    note: `The patch leaves out large files: ${names.join(", ")}${more}. Bring the changes back as a branch to have them.`,
  };
}

/** The changed paths with their modes and ids. Rejects with {@link GitFailure}. */
export async function rawChanges(gitDir: string, before: string, after: string): Promise<RawChange[]> {
  const fields = (await run(gitDir, [...DIFF, "-z", "--raw", before, after])).toString("utf8").split("\0");
  const changes: RawChange[] = [];
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const [oldMode = "", newMode = "", oldId = "", newId = ""] = (fields[i] ?? "").replace(/^:/, "").split(" ");
    changes.push({ oldMode, newMode, oldId, newId, path: fields[i + 1] ?? "" });
  }
  return changes;
}

async function largePaths(gitDir: string, changes: readonly RawChange[]): Promise<string[]> {
  const ids = [...new Set(changes.flatMap(({ oldId, newId }) => [oldId, newId]))];
  const input = ids.map((id) => `${id}\n`).join("");
  const answers = await run(gitDir, ["cat-file", "--batch-check=%(objectname) %(objectsize)"], { input });
  const large = new Set<string>();
  for (const line of answers.toString().split("\n")) {
    const [id = "", size = ""] = line.split(" ");
    if (Number(size) > MAX_CONTENT_BYTES) large.add(id);
  }
  return changes.filter(({ oldId, newId }) => large.has(oldId) || large.has(newId)).map(({ path }) => path);
}

/**
 * The patch as text; null when it is too large. Git takes a file in another encoding for text too, but its bytes would not
 * survive as a string: the patches of such files are made as those of binary ones.
 */
async function textPatch(
  trees: Trees,
  changes: readonly RawChange[],
  without: readonly string[],
): Promise<string | null> {
  const { gitDir, before, after } = trees;
  const excluded = without.length === 0 ? [] : ["--", ...without.map((path) => `:(top,literal,exclude)${path}`)];
  const whole = await run(gitDir, [...PATCH, before, after, ...excluded], { maxOutput: MAX_PATCH_BYTES }).catch(
    tooLong,
  );
  if (whole === null) return null;
  if (isUtf8(whole)) return whole.toString("utf8");
  const { text, other } = partsByText(
    whole,
    changes.filter(({ path }) => !without.includes(path)),
  );
  const asBinary = await binaryView(gitDir);
  const parts = [text];
  let length = text.length;
  for (const paths of inChunks(other)) {
    const some = [...PATCH, before, after, "--", ...paths.map((path) => `:(top,literal)${path}`)];
    const bytes = await asBinary(some);
    length += bytes.length;
    if (length > MAX_PATCH_BYTES) return null;
    parts.push(bytes.toString("utf8"));
  }
  return parts.join("");
}

const NEXT_FILE = Buffer.from("\ndiff --git ");
const TYPE = 0o170000;

/**
 * The patches of `changes` that are text, and the paths of the rest. A process for each file would take minutes where
 * thousands of them changed.
 */
function partsByText(whole: Buffer, changes: readonly RawChange[]): { text: string; other: string[] } {
  const parts: Buffer[] = [];
  for (let start = 0; start < whole.length; ) {
    const next = whole.indexOf(NEXT_FILE, start);
    const end = next < 0 ? whole.length : next + 1;
    parts.push(whole.subarray(start, end));
    start = end;
  }
  const texts: string[] = [];
  const other: string[] = [];
  for (const { oldMode, newMode, path } of changes) {
    const [from, to] = [Number.parseInt(oldMode, 8) & TYPE, Number.parseInt(newMode, 8) & TYPE];
    // A file in the place of a link is shown as one that goes and one that comes.
    const own = parts.splice(0, from !== to && from !== 0 && to !== 0 ? 2 : 1);
    if (own.length > 0 && own.every((part) => isUtf8(part))) texts.push(...own.map((part) => part.toString("utf8")));
    else other.push(path);
  }
  return { text: texts.join(""), other };
}

const CHUNK_PATHS = 200;
const CHUNK_CHARACTERS = 32 * 1024;

/** As many paths as a command line holds. */
function* inChunks(paths: readonly string[]): Generator<string[]> {
  let chunk: string[] = [];
  let length = 0;
  for (const path of paths) {
    if (chunk.length > 0 && (chunk.length === CHUNK_PATHS || length + path.length > CHUNK_CHARACTERS)) {
      yield chunk;
      chunk = [];
      length = 0;
    }
    chunk.push(path);
    length += path.length;
  }
  if (chunk.length > 0) yield chunk;
}

function tooLong(error: unknown): null {
  if (error instanceof GitFailure && /bytes to say$/.test(error.message)) return null;
  throw error;
}

/** The same objects seen by a repository that takes every file for a binary one. */
async function binaryView(ofDir: string): Promise<(args: readonly string[]) => Promise<Buffer>> {
  const gitDir = join(ofDir, "binary");
  const env = { GIT_OBJECT_DIRECTORY: join(ofDir, "objects") };
  const view = (args: readonly string[]): Promise<Buffer> =>
    git([...inside(gitDir), ...args], { cwd: ofDir, env, maxOutput: 2 * MAX_PATCH_BYTES, timeoutMs: TIMEOUT_MS });
  const format = (await run(ofDir, ["rev-parse", "--show-object-format"])).toString().trim();
  await mkdir(join(gitDir, "info"), { recursive: true });
  const sort = format === "sha1" ? [] : [`--object-format=${format}`];
  await git([`--git-dir=${gitDir}`, "init", "--quiet", "--bare", "--template=", ...sort], { cwd: ofDir, env });
  await writeFile(join(gitDir, "info/attributes"), "* -diff\n");
  return view;
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
