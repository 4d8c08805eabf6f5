/**
 * The tree of a work tree as it is now, made beside the repository: on a copy of its index, with objects going to a store
 * of ours, and with none of its filters.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, lstat, rm, stat, utimes, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { ownExcludes } from "../baseline.ts";
import { git } from "../git.ts";
import { MAX_BYTES, MAX_FILES, RepositoryRefused, splitNul } from "../repository.ts";
import type { Source } from "./source.ts";
import { type Store, storeArgs } from "./store.ts";

const POINTER = "version https://git-lfs.github.com/spec/v1\n";
const LARGEST_POINTER = 1024;

/** @returns id of the tree. Rejects with RepositoryRefused or GitFailure. */
export async function workTreeTree(source: Source, store: Store): Promise<string> {
  const index = join(store.gitDir, "index");
  const run = (args: readonly string[], input?: Uint8Array): Promise<Buffer> =>
    git(
      [
        ...storeArgs(store),
        `--work-tree=${source.top}`,
        ...source.fileSettings.flatMap((setting) => ["-c", setting]),
        ...args,
      ],
      { cwd: source.top, env: { GIT_INDEX_FILE: index }, ...(input === undefined ? {} : { input }) },
    );
  await copyIndex(source, store, index);
  await writeFile(join(store.gitDir, "info/exclude"), await ownExcludes(source.top));
  // Also what is behind a folder that is a link now: the lists below would look through the link, into another place.
  const gone = await run(["diff-files", "-z", "--name-only", "--diff-filter=D", "--ignore-submodules=all"]);
  if (gone.length > 0) await run(["update-index", "--force-remove", "-z", "--stdin"], gone);
  const changed = splitNul(await run(["ls-files", "-z", "--modified"]));
  const others = splitNul(await run(["ls-files", "-z", "--others", "--exclude-standard"]));
  // Git lists a repository inside this one as a folder: its files are its own business.
  const paths = unique([...changed, ...others]).filter((path) => path.at(-1) !== 0x2f);
  await refuseTooMuch(source.top, paths);
  const pointers = await largeFilePointers(paths, source.top, run);
  const update = ["update-index", "--add", "--remove", "--replace", "-z"];
  const direct = paths.filter((path) => !pointers.has(path));
  if (direct.length > 0) await run([...update, "--stdin"], terminated(direct));
  if (pointers.size > 0) await run([...update, "--index-info"], terminated([...pointers.values()]));
  const tree = (await run(["write-tree"])).toString().trim();
  await rm(index, { force: true });
  return tree;
}

/** Git looks into a file only when its time is not older than the index: the copy must not be younger than the original. */
async function copyIndex(source: Source, store: Store, to: string): Promise<void> {
  const found = await stat(source.indexFile).catch(() => null);
  // A repository in which nothing was ever added has none.
  if (found === null) return;
  await copyFile(source.indexFile, to);
  const second = Math.floor(found.mtimeMs / 1000) - 1;
  await utimes(to, second, second);
  if (source.sharedIndexFile === null) return;
  await copyFile(source.sharedIndexFile, join(store.gitDir, basename(source.sharedIndexFile)));
}

async function refuseTooMuch(top: string, paths: readonly Buffer[]): Promise<void> {
  if (paths.length > MAX_FILES) {
    throw new RepositoryRefused(
      `${top} has ${paths.length} uncommitted files; at most ${MAX_FILES} can enter. Ignore some in .gitignore.`,
    );
  }
  let bytes = 0;
  for (const path of paths) bytes += (await lstat(onDisk(top, path)).catch(() => null))?.size ?? 0;
  if (bytes <= MAX_BYTES) return;
  throw new RepositoryRefused(
    `${top} has more than 2 GB of uncommitted files that would enter. Ignore the large ones in .gitignore, or commit what the agent needs and leave out the rest with include_uncommitted: false.`,
  );
}

/**
 * Files that Git LFS keeps elsewhere have a small text in their place, which its filter would make. The filter is not
 * run, so the text is made here: the content itself must not become part of the history.
 * @returns path → record for `update-index --index-info`
 */
async function largeFilePointers(
  paths: readonly Buffer[],
  top: string,
  run: (args: readonly string[], input?: Uint8Array) => Promise<Buffer>,
): Promise<Map<Buffer, Buffer>> {
  const pointers = new Map<Buffer, Buffer>();
  if (paths.length === 0) return pointers;
  const answers = splitNul(await run(["check-attr", "-z", "--stdin", "filter"], terminated(paths)));
  for (const [i, path] of paths.entries()) {
    if (answers[i * 3 + 2]?.toString() !== "lfs") continue;
    const file = onDisk(top, path);
    const found = await lstat(file).catch(() => null);
    if (found?.isFile() !== true) continue;
    const { hash, start } = await hashFile(file);
    if (found.size < LARGEST_POINTER && start.startsWith(POINTER)) continue;
    const text = `${POINTER}oid sha256:${hash}\nsize ${found.size}\n`;
    const id = (await run(["hash-object", "-w", "--stdin", "--no-filters"], Buffer.from(text))).toString().trim();
    const mode = (found.mode & 0o100) === 0 ? "100644" : "100755";
    pointers.set(path, Buffer.concat([Buffer.from(`${mode} ${id}\t`), path]));
  }
  return pointers;
}

async function hashFile(path: Buffer): Promise<{ hash: string; start: string }> {
  const hash = createHash("sha256");
  let start = "";
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    if (start === "") start = chunk.subarray(0, 200).toString("latin1");
    hash.update(chunk);
  }
  return { hash: hash.digest("hex"), start };
}

/** A path for the file system; names that are not text stay the bytes they are. */
function onDisk(top: string, path: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${top}/`), path]);
}

function unique(paths: readonly Buffer[]): Buffer[] {
  return [...new Map(paths.map((path) => [path.toString("latin1"), path])).values()];
}

function terminated(records: readonly Buffer[]): Buffer {
  return Buffer.concat(records.flatMap((record) => [record, Buffer.from([0])]));
}
