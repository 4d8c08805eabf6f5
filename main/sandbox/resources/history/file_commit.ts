/** A commit made from plain files that arrive one by one, for a work tree whose own repository cannot be used. */
import { once } from "node:events";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { GitFailure, startGit, withinTime } from "../git.ts";
import { MAX_BYTES, MAX_FILES, splitNul } from "../repository.ts";
import { commitTree } from "./entry.ts";
import { askStore, type Entry, inStore, type Store, storeArgs } from "./store.ts";

export interface IncomingFile {
  /** Relative, with slashes. */
  path: string;
  kind: "file" | "executable" | "link";
  size: number;
  body: AsyncIterable<Buffer>;
}

/** The path has the same content as one before it. */
export interface IncomingCopy {
  path: string;
  kind: "copy";
  of: string;
}

const TIMEOUT_MS = 10 * 60_000;
const MODES = { file: "100644", executable: "100755", link: "120000" };
const IMPORT_REF = "refs/longhaul/files";

/**
 * Commits `files` on top of the entry, without those that its ignore rules leave out. Nothing is written as a file of this
 * disk, so names and links cannot lead anywhere. Rejects with {@link GitFailure}.
 */
export async function commitFiles(
  store: Store,
  entry: Entry,
  files: AsyncIterable<IncomingFile | IncomingCopy>,
): Promise<string> {
  const date = await askStore(store, ["log", "-1", "--format=%ct +0000", entry.commit]);
  const imported = await importFiles(store, files, date);
  const tree = await withoutIgnored(store, entry, imported);
  if (tree === (await askStore(store, ["rev-parse", `${entry.commit}^{tree}`]))) return entry.commit;
  return commitTree(store, tree, entry.commit, "Work of the agent", date);
}

async function importFiles(
  store: Store,
  files: AsyncIterable<IncomingFile | IncomingCopy>,
  date: string,
): Promise<string> {
  const child = await startGit([...storeArgs(store), "fast-import", "--quiet", "--done", "--force"], {
    cwd: store.gitDir,
  });
  child.stdout.resume();
  const ended = withinTime(child, "fast-import", TIMEOUT_MS);
  // Waited for below; until then a failure must not count as unhandled.
  ended.catch(() => undefined);
  const write = async (bytes: string | Buffer): Promise<void> => {
    if (child.stdin.destroyed || child.stdin.write(bytes)) return;
    await Promise.race([once(child.stdin, "drain"), ended]);
  };
  try {
    await write(`commit ${IMPORT_REF}\ncommitter Longhaul <longhaul@localhost> ${date}\ndata 0\n`);
    let count = 0;
    let bytes = 0;
    for await (const file of files) {
      count += 1;
      bytes += file.kind === "copy" ? 0 : file.size;
      if (count > MAX_FILES) throw new GitFailure(`it has more than ${MAX_FILES} files`);
      if (bytes > MAX_BYTES) throw new GitFailure("it has more than 2 GB of files");
      if (file.kind === "copy") {
        await write(`C ${quoted(file.of)} ${quoted(file.path)}\n`);
        continue;
      }
      await write(`M ${MODES[file.kind]} inline ${quoted(file.path)}\ndata ${file.size}\n`);
      for await (const chunk of file.body) await write(chunk);
      await write("\n");
    }
    child.stdin.end("\ndone\n");
    await ended;
  } catch (error) {
    child.kill("SIGKILL");
    throw error;
  }
  return askStore(store, ["rev-parse", IMPORT_REF]);
}

/** Ignored files are no work, unless they were part of what entered. */
async function withoutIgnored(store: Store, entry: Entry, commit: string): Promise<string> {
  const index = join(store.gitDir, "files-index");
  const tree = join(store.gitDir, "no-files");
  const run = (args: readonly string[], input?: Buffer): Promise<Buffer> =>
    inStore(store, [`--work-tree=${tree}`, ...args], {
      env: { GIT_INDEX_FILE: index },
      ...(input === undefined ? {} : { input }),
    });
  await mkdir(tree, { recursive: true });
  await rm(index, { force: true });
  try {
    await run(["read-tree", commit]);
    // Git reads ignore rules from the index only where the file is said to be absent on purpose.
    const rules = await run(["ls-files", "-z", "--", ":(top,glob)**/.gitignore"]);
    if (rules.length > 0) await run(["update-index", "--skip-worktree", "-z", "--stdin"], rules);
    const ignored = splitNul(await run(["ls-files", "-z", "--cached", "--ignored", "--exclude-standard"]));
    const before = splitNul(await run(["ls-tree", "-r", "-z", "--name-only", "--full-tree", entry.commit]));
    const entered = new Set(before.map((path) => path.toString("latin1")));
    const removed = ignored.filter((path) => !entered.has(path.toString("latin1")));
    const input = Buffer.concat(removed.flatMap((path) => [path, Buffer.from([0])]));
    if (input.length > 0) await run(["update-index", "--force-remove", "-z", "--stdin"], input);
    return (await run(["write-tree"])).toString().trim();
  } finally {
    await rm(index, { force: true });
  }
}

/** A path as fast-import reads it. */
function quoted(path: string): string {
  return `"${path.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n")}"`;
}
