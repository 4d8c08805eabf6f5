/** What must happen so that a mount and its store are equal: a pure function of what was, what is there, and what is here. */
import { ancestorsOf } from "../../contract/memory/paths.ts";
import type { MemoryHead, MountScan } from "./port.ts";

export interface MergeInput {
  /** SHA-256 by path, as both sides had it when they were last equal. */
  base: ReadonlyMap<string, string>;
  scan: MountScan;
  heads: readonly MemoryHead[];
  read_only: boolean;
  /** Paths that were missing at the last look already: these are deletions, not files that are just being replaced. */
  missed: ReadonlySet<string>;
  /** Nothing runs now, so what is missing is deleted. */
  resting: boolean;
}

export interface Plan {
  /** Both sides have this already. */
  adopt: { path: string; sha256: string }[];
  /** Neither side has it any more. */
  drop: string[];
  /** The memory becomes the file. `expected` as in MountChange. */
  pull: { head: MemoryHead; expected: string | null | "any" }[];
  /** The file goes, because its memory did. */
  removeFile: { path: string; expected: string | "any" }[];
  /** The file becomes a memory, or its content. */
  push: { path: string; sha256: string; head: MemoryHead | null }[];
  /** The memory goes, because its file did. */
  removeMemory: MemoryHead[];
  /** Both were changed, each in its way. */
  conflicts: { head: MemoryHead; sha256: string }[];
  /** Missing files whose memories stay until they are missed again. */
  missed: string[];
  /** The mount or every file in it was gone at once: all is put back, as if it had never been there. */
  fresh: boolean;
  /** The agent had changed something in a read-only mount. */
  undone: boolean;
}

export function merge(input: MergeInput): Plan {
  const { scan, heads, read_only } = input;
  const lost = scan.gone || (!read_only && isWiped(input));
  const base = lost ? new Map<string, string>() : input.base;
  const files = scan.gone ? new Map<string, string>() : scan.files;
  const plan: Plan = {
    adopt: [],
    drop: [],
    pull: [],
    removeFile: [],
    push: [],
    removeMemory: [],
    conflicts: [],
    missed: [],
    fresh: lost,
    undone: false,
  };
  const remote = new Map(heads.map((head) => [head.path, head]));
  const unfit: MountScan["unfit"] = scan.gone ? new Map() : scan.unfit;
  const paths = [...new Set([...remote.keys(), ...files.keys(), ...base.keys(), ...(read_only ? unfit.keys() : [])])];
  for (const path of paths.sort()) {
    const side = { path, local: files.get(path), was: base.get(path), head: remote.get(path) };
    if (read_only) putRight(plan, side, unfit.has(path));
    else if (!isHidden(path, unfit)) reconcile(plan, side, { ...input, files });
  }
  return plan;
}

interface Sides {
  path: string;
  local: string | undefined;
  was: string | undefined;
  head: MemoryHead | undefined;
}

/** The store is right, whatever the mount holds. */
function putRight(plan: Plan, { path, local, head, was }: Sides, unfit: boolean): void {
  if (head === undefined) {
    if (local === undefined && !unfit) {
      plan.drop.push(path);
      return;
    }
    plan.removeFile.push({ path, expected: "any" });
    if (local !== was) plan.undone = true;
  } else if (local === head.sha256) plan.adopt.push({ path, sha256: local });
  else {
    plan.pull.push({ head, expected: "any" });
    if (was !== undefined && local !== was) plan.undone = true;
  }
}

function reconcile(
  plan: Plan,
  { path, local, was, head }: Sides,
  input: Pick<MergeInput, "missed" | "resting"> & { files: ReadonlyMap<string, string> },
): void {
  if (head === undefined) {
    if (local === undefined) plan.drop.push(path);
    else if (local === was) plan.removeFile.push({ path, expected: local });
    // Of a memory that was deleted while its file was changed, the file is the only copy.
    else plan.push.push({ path, sha256: local, head: null });
    return;
  }
  if (local === head.sha256) {
    plan.adopt.push({ path, sha256: local });
  } else if (local === undefined) {
    if (was !== head.sha256) plan.pull.push({ head, expected: null });
    else if (input.resting || input.missed.has(path) || isReplaced(path, input.files)) plan.removeMemory.push(head);
    else plan.missed.push(path);
  } else if (local === was) plan.pull.push({ head, expected: local });
  else if (was === head.sha256) plan.push.push({ path, sha256: local, head });
  else plan.conflicts.push({ head, sha256: local });
}

/** A folder stands where the file was, or a file where its folder was: it will not come back. */
function isReplaced(path: string, files: ReadonlyMap<string, string>): boolean {
  if (ancestorsOf(path).some((above) => files.has(above))) return true;
  for (const other of files.keys()) if (other.startsWith(`${path}/`)) return true;
  return false;
}

/** Something that is no memory has the path, or hides it. What was there last time is neither changed nor deleted. */
function isHidden(path: string, unfit: ReadonlyMap<string, unknown>): boolean {
  return unfit.size > 0 && (unfit.has(path) || ancestorsOf(path).some((above) => unfit.has(above)));
}

/** More than one file and none of them left looks like an accident; a single one is deleted like any. */
function isWiped({ base, scan }: MergeInput): boolean {
  return base.size > 1 && scan.files.size === 0 && scan.unfit.size === 0;
}
