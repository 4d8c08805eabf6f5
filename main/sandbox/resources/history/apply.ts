/** A commit made from single changes on top of an entry. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { RawChange } from "../diff.ts";
import { commitTree } from "./entry.ts";
import { askStore, type Entry, inStore, type Store } from "./store.ts";

const DELETED = "000000";

/**
 * Commits `changes` on top of the entry; their contents must be among the objects that the store reaches. The same
 * arguments make the same commit. Rejects with GitFailure.
 */
export async function commitChanges(store: Store, entry: Entry, changes: readonly RawChange[]): Promise<string> {
  const index = join(store.gitDir, `index.${process.pid}.${Math.random().toString(36).slice(2)}`);
  const env = { GIT_INDEX_FILE: index };
  try {
    await inStore(store, ["read-tree", entry.commit], { env });
    const nothing = "0".repeat(entry.commit.length);
    // What goes away first: a folder may take the name of a file.
    const gone = changes.filter(({ newMode }) => newMode === DELETED).map(({ path }) => `0 ${nothing}\t${path}\0`);
    const here = changes
      .filter(({ newMode }) => newMode !== DELETED)
      .map(({ newMode, newId, path }) => `${newMode} ${newId}\t${path}\0`);
    const input = [...gone, ...here].join("");
    await inStore(store, ["update-index", "--add", "--replace", "-z", "--index-info"], { env, input });
    const tree = (await inStore(store, ["write-tree"], { env })).toString().trim();
    const date = await askStore(store, ["log", "-1", "--format=%ct +0000", entry.commit]);
    return await commitTree(store, tree, entry.commit, "Work of the agent", date);
  } finally {
    await rm(index, { force: true });
  }
}
