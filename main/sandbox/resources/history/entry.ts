/** Records what of a person's repository enters a sandbox: its history, and uncommitted work as one commit on top. */
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import type { LocalRepositoryResource } from "../../../contract/events.ts";
import { GitFailure, git, startGit, withinTime } from "../git.ts";
import { MAX_BYTES, RepositoryRefused, resolveCommit, splitNul, workTree } from "../repository.ts";
import { describeSource, type Source } from "./source.ts";
import {
  askStore,
  createStore,
  type Entry,
  inStore,
  type Store,
  showExactly,
  storeArgs,
  storeAt,
  writeEntry,
} from "./store.ts";
import { workTreeTree } from "./uncommitted.ts";

type Attached = Pick<LocalRepositoryResource, "path" | "checkout" | "include_uncommitted">;

export interface RecordedEntry extends Entry {
  /** Things left out, or that are not what they seem, a line each. */
  notes: string[];
  /** The pack with everything that enters; null when the store only refers to the person's objects. */
  pack: { file: string; size: number } | null;
  tags: { ref: string; id: string }[];
  shallow: string | null;
}

const PACK_TIMEOUT_MS = 30 * 60_000;
const SIZE_CHECK_MS = 250;
const MAX_TAGS = 1000;
const NAMED_PATHS = 5;

/**
 * Makes the store of `resource` anew.
 * @param whole true packs all of the history into the store, so that it needs the person's repository no more; false
 *   refers to the person's objects, which costs nothing
 * @param maxBytes most bytes that the packed history may have
 * Rejects with {@link RepositoryRefused}.
 */
export async function recordEntry(
  resource: Attached,
  store: Store,
  whole: boolean,
  maxBytes: number = MAX_BYTES,
): Promise<RecordedEntry> {
  const top = await workTree(resource.path);
  const making = storeAt(`${store.dir}.new`);
  try {
    const source = await describeSource(top);
    await createStore(making, source.format);
    await writeFile(join(making.gitDir, "objects/info/alternates"), alternateLine(source.objects));
    const shallow = source.isShallow ? await readFile(source.shallowFile, "utf8") : null;
    if (shallow !== null) await copyFile(source.shallowFile, join(making.gitDir, "shallow"));
    const entry = await entryOf(resource, source, making);
    const tags = await tagsOf(entry, source, making);
    const notes = await notesOn(entry, source, making);
    await inStore(making, ["update-ref", "refs/longhaul/entry", entry.commit]);
    const pack = whole ? await packHistory(entry, tags, source, making, maxBytes) : null;
    await showExactly(making);
    await writeEntry(making, entry);
    await rm(store.gitDir, { recursive: true, force: true });
    await moveInto(store, making);
    if (pack !== null) pack.file = join(store.gitDir, "objects/pack", pack.file);
    return { ...entry, notes, pack, tags, shallow };
  } catch (error) {
    if (error instanceof GitFailure) throw new RepositoryRefused(`${resource.path}: ${error.message}`);
    throw error;
  } finally {
    await rm(making.dir, { recursive: true, force: true });
  }
}

async function moveInto(store: Store, made: Store): Promise<void> {
  await mkdir(store.dir, { recursive: true, mode: 0o700 });
  await rename(made.gitDir, store.gitDir);
}

/** A line of git's list of other object folders; one with a line end inside must be quoted. */
export function alternateLine(path: string): string {
  return `${/[\n"]/.test(path) ? JSON.stringify(path) : path}\n`;
}

async function entryOf(resource: Attached, source: Source, store: Store): Promise<Entry> {
  const { checkout } = resource;
  const { format, top } = source;
  if (checkout !== null || !resource.include_uncommitted) {
    const commit = await resolveCommit(top, checkout);
    const branch = checkout === null ? await currentBranch(source) : checkout.type === "branch" ? checkout.name : null;
    return { format, commit, base: commit, branch };
  }
  const base = await headCommit(source, store);
  const branch = await currentBranch(source);
  const tree = await workTreeTree(source, store);
  if (base !== null && (await askStore(store, ["rev-parse", `${base}^{tree}`])) === tree) {
    return { format, commit: base, base, branch };
  }
  const who = (source.userName ?? userInfo().username).replace(/[\p{Cc}<>]/gu, "").slice(0, 100) || "the person";
  const message = `Uncommitted work of ${who} when the session began`;
  const commit = await commitTree(store, tree, base, message, `${Math.floor(Date.now() / 1000)} +0000`);
  return { format, commit, base, branch };
}

/** Makes a commit of ours. @param date in git's raw form; the same arguments make the same commit */
export function commitTree(
  store: Store,
  tree: string,
  parent: string | null,
  message: string,
  date: string,
): Promise<string> {
  const env = {
    GIT_AUTHOR_NAME: "Longhaul",
    GIT_AUTHOR_EMAIL: "longhaul@localhost",
    GIT_COMMITTER_NAME: "Longhaul",
    GIT_COMMITTER_EMAIL: "longhaul@localhost",
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_DATE: date,
  };
  const parents = parent === null ? [] : ["-p", parent];
  return askStore(store, ["commit-tree", tree, ...parents], { env, input: `${message}\n` });
}

/** Null in a repository without any commit. */
async function headCommit(source: Source, store: Store): Promise<string | null> {
  const args = [`--work-tree=${source.top}`, "rev-parse", "--verify", "--quiet", "HEAD"];
  const id = await git(args, { cwd: source.top }).catch(() => null);
  if (id === null) return null;
  const commit = id.toString().trim();
  await inStore(store, ["cat-file", "-e", `${commit}^{tree}`]).catch(() => {
    throw missingObjects(source);
  });
  return commit;
}

async function currentBranch(source: Source): Promise<string | null> {
  const args = [`--work-tree=${source.top}`, "symbolic-ref", "--quiet", "HEAD"];
  const ref = await git(args, { cwd: source.top }).catch(() => null);
  return (
    ref
      ?.toString()
      .trim()
      .match(/^refs\/heads\/(.+)$/)?.[1] ?? null
  );
}

function missingObjects(source: Source): RepositoryRefused {
  return new RepositoryRefused(
    source.isPartial
      ? `${source.top} is a partial clone: some of its history is only at its remote. Run \`git fetch --refetch --no-filter\` there to have all of it, then try again.`
      : `${source.top} lacks objects that its history needs. Run \`git fsck\` there to see which, and repair it or clone it again.`,
  );
}

/** Tags on the history that enters: versions are often made from them. */
async function tagsOf(entry: Entry, source: Source, store: Store): Promise<RecordedEntry["tags"]> {
  if (entry.base === null) return [];
  const list = ["for-each-ref", `--merged=${entry.base}`, `--count=${MAX_TAGS}`, "--sort=-creatordate"];
  const format = "--format=%(objectname) %(refname)";
  const lines = await git([`--work-tree=${source.top}`, ...list, format, "refs/tags"], { cwd: source.top }).catch(
    // Tags are an extra; a broken one must not keep the repository out.
    () => Buffer.alloc(0),
  );
  const tags = [];
  for (const line of lines.toString("utf8").split("\n")) {
    const [id = "", ref = ""] = line.split(/ (.*)/s);
    if (ref !== "" && !ref.includes("\ufffd")) tags.push({ id, ref });
  }
  return tags.length === 0 ||
    (await inStore(store, ["cat-file", "-e", tags[0]?.id ?? ""]).then(
      () => true,
      () => false,
    ))
    ? tags
    : [];
}

async function notesOn(entry: Entry, source: Source, store: Store): Promise<string[]> {
  const notes: string[] = [];
  if (source.isShallow) {
    notes.push(
      "it is a shallow clone: its history enters as far as it goes. Run `git fetch --unshallow` there for all of it",
    );
  }
  const listing = splitNul(await inStore(store, ["ls-tree", "-r", "-z", "--full-tree", entry.commit]));
  const paths = listing.map((record) => ({
    mode: record.subarray(0, 6).toString(),
    path: record.subarray(record.indexOf(0x09) + 1).toString("utf8"),
  }));
  const submodules = paths.filter(({ mode }) => mode === "160000").map(({ path }) => path);
  if (submodules.length > 0)
    notes.push(`leave out submodules (attach them as repositories of their own): ${some(submodules)}`);
  const attributes = await readFile(join(source.top, ".gitattributes"), "utf8").catch(() => "");
  if (attributes.includes("filter=lfs")) {
    const blobs = paths.filter(({ mode }) => mode.startsWith("100"));
    const input = blobs.map(({ path }) => `${path}\0`).join("");
    const answers = splitNul(
      await inStore(store, [`--work-tree=${source.top}`, "check-attr", "-z", "--stdin", "filter"], {
        input,
        cwd: source.top,
      }),
    );
    const large = blobs.filter((_, i) => answers[i * 3 + 2]?.toString() === "lfs").map(({ path }) => path);
    if (large.length > 0) {
      notes.push(
        `Git LFS files enter as pointers, without their content (attach those that are needed as files): ${some(large)}`,
      );
    }
  }
  return notes;
}

/** The first few of many names, for a line of text. */
export function some(names: readonly string[]): string {
  const more = names.length > NAMED_PATHS ? ` and ${names.length - NAMED_PATHS} more` : "";
  return (
    names
      .slice(0, NAMED_PATHS)
      .map((name) => JSON.stringify(name))
      .join(", ") + more
  );
}

async function packHistory(
  entry: Entry,
  tags: RecordedEntry["tags"],
  source: Source,
  store: Store,
  maxBytes: number,
): Promise<{ file: string; size: number }> {
  const folder = join(store.gitDir, "objects/pack");
  const args = ["pack-objects", "--revs", "--delta-base-offset", "--quiet", join(folder, "pack")];
  const child = await startGit([...storeArgs(store), ...args], { cwd: store.gitDir });
  const output: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stdin.end([entry.commit, ...tags.map(({ id }) => id)].map((id) => `${id}\n`).join(""));
  let tooLarge = false;
  const watch = setInterval(() => {
    void folderSize(folder).then((size) => {
      if (size <= maxBytes) return;
      tooLarge = true;
      child.kill("SIGKILL");
    });
  }, SIZE_CHECK_MS);
  try {
    await withinTime(child, "pack-objects", PACK_TIMEOUT_MS);
  } catch (error) {
    if (tooLarge) throw tooMuchHistory(source);
    if (error instanceof GitFailure && /missing|unable to (read|parse|get)|bad object|not found/i.test(error.message)) {
      throw missingObjects(source);
    }
    throw error;
  } finally {
    clearInterval(watch);
  }
  const file = `pack-${Buffer.concat(output).toString().trim()}.pack`;
  const { size } = await stat(join(folder, file));
  if (size > maxBytes) throw tooMuchHistory(source);
  await rm(join(store.gitDir, "objects/info/alternates"));
  return { file, size };
}

function tooMuchHistory(source: Source): RepositoryRefused {
  return new RepositoryRefused(
    `${source.top} has more than 2 GB of history, the most that can enter. Make a clone of its newest part with \`git clone --depth 50 file://${source.top} <folder>\` and attach that.`,
  );
}

async function folderSize(folder: string): Promise<number> {
  let size = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    size += (await stat(join(folder, name)).catch(() => null))?.size ?? 0;
  }
  return size;
}
