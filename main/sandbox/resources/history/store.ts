/**
 * A bare repository of ours for each repository of a session: what entered the sandbox, and what came out of it. Neither
 * the person's repository nor its config takes part when it is read.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EXACT_ATTRIBUTES } from "../baseline.ts";
import { type GitOptions, git } from "../git.ts";
import type { ObjectFormat } from "./source.ts";

/** What the sandbox started with. */
export interface Entry {
  format: ObjectFormat;
  /** The commit that was checked out in the sandbox. */
  commit: string;
  /** The person's commit below it: the same one when there was no uncommitted work, null when there was no commit. */
  base: string | null;
  /** Name of the branch; null when none was checked out. */
  branch: string | null;
}

export interface Store {
  /** Everything that is recorded of one resource. */
  dir: string;
  gitDir: string;
}

const ENTRY_FILE = "longhaul-entry.json";
export const TIP_REF = "refs/longhaul/tip";
/** The agent's own last commit, below what it had not committed. */
export const HEAD_REF = "refs/longhaul/head";
const MANY_PACKS = 30;
/** Contents above this are never taken into memory as text. */
const BIG_FILE = 32 * 1024 * 1024;

const SETTINGS = [
  "core.autocrlf=false",
  "core.safecrlf=false",
  `core.bigFileThreshold=${BIG_FILE}`,
  "core.looseCompression=1",
  "core.logAllRefUpdates=false",
];

export function storesDir(dataDir: string, sessionId: string): string {
  return join(dataDir, "repositories", folderName(sessionId));
}

export function storeOf(dataDir: string, sessionId: string, resourceId: string): Store {
  return storeAt(join(storesDir(dataDir, sessionId), folderName(resourceId)));
}

export function storeAt(dir: string): Store {
  return { dir, gitDir: join(dir, "git") };
}

/** Ids are letters, digits and underscores; anything else is replaced by its hash, never taken as a path. */
export function folderName(id: string): string {
  return /^[A-Za-z0-9_-]{1,100}$/.test(id) ? id : `id-${createHash("sha256").update(id).digest("hex").slice(0, 40)}`;
}

export function storeArgs(store: Pick<Store, "gitDir">): string[] {
  return [`--git-dir=${store.gitDir}`, ...SETTINGS.flatMap((setting) => ["-c", setting])];
}

/** Runs git on the store. Rejects with GitFailure. */
export function inStore(
  store: Pick<Store, "gitDir">,
  args: readonly string[],
  more: Partial<GitOptions> = {},
): Promise<Buffer> {
  return git([...storeArgs(store), ...args], { cwd: store.gitDir, ...more });
}

/** Output of git on the store, trimmed. */
export async function askStore(
  store: Pick<Store, "gitDir">,
  args: readonly string[],
  more: Partial<GitOptions> = {},
): Promise<string> {
  return (await inStore(store, args, more)).toString().trim();
}

/** Makes an empty store in the place of one that may be there. */
export async function createStore(store: Store, format: ObjectFormat): Promise<void> {
  await rm(store.gitDir, { recursive: true, force: true });
  await mkdir(store.gitDir, { recursive: true, mode: 0o700 });
  const sort = format === "sha1" ? [] : [`--object-format=${format}`];
  await inStore(store, ["init", "--quiet", "--bare", "--template=", ...sort]);
  await mkdir(join(store.gitDir, "info"), { recursive: true });
  await mkdir(join(store.gitDir, "objects/info"), { recursive: true });
}

/** From here on contents are shown as they are, whatever attributes of the repository ask for. */
export async function showExactly(store: Store): Promise<void> {
  await writeFile(join(store.gitDir, "info/attributes"), EXACT_ATTRIBUTES);
}

export async function writeEntry(store: Store, entry: Entry): Promise<void> {
  await writeFile(join(store.gitDir, ENTRY_FILE), JSON.stringify(entry));
}

/** Null when nothing was recorded, or not to its end. */
export async function readEntry(store: Store): Promise<Entry | null> {
  const text = await readFile(join(store.gitDir, ENTRY_FILE), "utf8").catch(() => null);
  if (text === null) return null;
  try {
    return JSON.parse(text) as Entry;
  } catch {
    // Torn by a power cut: as if it had not been recorded.
    return null;
  }
}

/** The commit a ref of the store points at; null when there is none. */
export async function refOf(store: Store, ref: string): Promise<string | null> {
  return askStore(store, ["rev-parse", "--verify", "--quiet", `${ref}^{commit}`]).catch(() => null);
}

/** Each look at a sandbox brings a pack; many of them are made one again. */
export async function tidy(store: Store): Promise<void> {
  const names = await readdir(join(store.gitDir, "objects/pack")).catch(() => []);
  if (names.filter((name) => name.endsWith(".pack")).length <= MANY_PACKS) return;
  await inStore(store, ["repack", "-a", "-d", "-q"]);
}
