/** Brings what the agent changed in an embedded sandbox back to the person's repositories, as one commit each. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { LocalRepositoryResource, SessionResource } from "../../../contract/events.ts";
import type { BroughtBack } from "../../../contract/local_api.ts";
import { BringBackRefused } from "../../port.ts";
import { rawChanges } from "../../resources/diff.ts";
import { GitFailure } from "../../resources/git.ts";
import { commitChanges } from "../../resources/history/apply.ts";
import { bringBack } from "../../resources/history/bring_back.ts";
import { alternateLine } from "../../resources/history/entry.ts";
import { describeSource } from "../../resources/history/source.ts";
import { readEntry } from "../../resources/history/store.ts";
import { RepositoryRefused, workTree } from "../../resources/repository.ts";
import { selectRepositories } from "../../resources/select.ts";
import type { SandboxLayout } from "../layout.ts";
import { baselineDir, historyStore, isPlaced, treesOf } from "../provision.ts";

/** Repositories that did not change are not in the list. Rejects with {@link BringBackRefused}. */
export async function bringBackChanges(
  layout: SandboxLayout,
  sessionId: string,
  resources: readonly SessionResource[],
  mountPath: string | null,
): Promise<BroughtBack[]> {
  const brought: BroughtBack[] = [];
  for (const resource of selectRepositories(resources, mountPath)) {
    if (resource.type === "github_repository" || !(await isPlaced(layout, resource.id))) continue;
    const tip = await commitWork(layout, resource).catch((error: unknown) => {
      const told = error instanceof GitFailure || error instanceof RepositoryRefused;
      throw told
        ? new BringBackRefused(`The changes of ${resource.path} cannot be brought back: ${error.message}`)
        : error;
    });
    if (tip === null) continue;
    const { store, entry, commit } = tip;
    const done = await bringBack({ sessionId, path: resource.path, store, entry, tip: commit });
    brought.push({ mount_path: resource.mount_path, path: resource.path, ...done });
  }
  return brought;
}

/** The files as they are now, as a commit on what entered; null when nothing changed. */
async function commitWork(layout: SandboxLayout, resource: LocalRepositoryResource) {
  const { before, after } = await treesOf(layout, resource);
  if (before === after) return null;
  const store = historyStore(layout, resource);
  const entry = await readEntry(store);
  if (entry === null) {
    throw new GitFailure(
      "its history was not recorded when it entered. Save the patch from the list of changes instead.",
    );
  }
  const { objects } = await describeSource(await workTree(resource.path));
  const baseline = baselineDir(layout, resource);
  const alternates = [objects, join(baseline, "objects")].map(alternateLine).join("");
  await writeFile(join(store.gitDir, "objects/info/alternates"), alternates);
  const commit = await commitChanges(store, entry, await rawChanges(baseline, before, after));
  return { store, entry, commit };
}
