/**
 * Puts a commit of a store into the person's repository as a branch. Only objects and that one ref are added: work tree,
 * index, HEAD, stash, hooks and config take no part, and nothing of the repository is run.
 */
import { appendFile, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { BringBackRefused } from "../../port.ts";
import { GitFailure, git, startGit, withinTime } from "../git.ts";
import { RepositoryRefused, workTree } from "../repository.ts";
import { askStore, type Entry, type Store, storeArgs } from "./store.ts";

export interface Offer {
  sessionId: string;
  /** Path of the person's repository. */
  path: string;
  store: Store;
  entry: Entry;
  /** The commit to bring back; it is in the store. */
  tip: string;
}

const TIMEOUT_MS = 15 * 60_000;
const MAX_NAMES = 1000;
/** Commits that were ever brought back, one a line: a branch that is at one of them is ours to move. */
const BROUGHT_FILE = "brought";

/** Rejects with {@link BringBackRefused}. Bringing the same commit back again changes nothing. */
export async function bringBack(offer: Offer): Promise<{ branch: string; commit: string; commits: number }> {
  const { path, store, entry, tip } = offer;
  const refuse = (why: string): never => {
    throw new BringBackRefused(`The changes of ${path} cannot be brought back: ${why}`);
  };
  try {
    const top = await workTree(path);
    const own = (...args: string[]): Promise<string> => askOwn(top, args);
    const noHooks = await hooksOff(top);
    const format = await own("rev-parse", "--show-object-format");
    if (format !== entry.format) {
      refuse(`another repository is there now (its objects are ${format}, those that entered were ${entry.format}).`);
    }
    if (entry.base !== null && !(await holds(top, entry.base))) {
      refuse(
        `it no longer has the commit ${entry.base.slice(0, 12)} that the session began with. Put the repository back at that path, or run \`git fetch\` there if the commit is at its remote.`,
      );
    }
    // Those of the agent: the commit with the person's uncommitted work is not one, and may have been dropped.
    const commits = Number(await askStore(store, ["rev-list", "--count", tip, `^${entry.commit}`]));
    const known = await broughtBefore(store);
    const branch = await freeBranch(top, offer, known);
    if (branch.at !== tip) {
      await sendObjects(offer, top);
      await mkdir(store.dir, { recursive: true });
      // Written first: after a crash in between, the branch is still known as ours.
      await appendFile(join(store.dir, BROUGHT_FILE), `${tip}\n`);
      const old = branch.at ?? "0".repeat(tip.length);
      const reason = `longhaul: changes of session ${offer.sessionId}`;
      await askOwn(top, ["update-ref", "--no-deref", "-m", reason, `refs/heads/${branch.name}`, tip, old], noHooks);
    }
    return { branch: branch.name, commit: tip, commits };
  } catch (error) {
    if (error instanceof RepositoryRefused) return refuse(error.message);
    if (error instanceof GitFailure) return refuse(inWords(error.message));
    throw error;
  }
}

/** Runs the hardened git in the person's repository. */
async function askOwn(top: string, args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const options = { cwd: top, timeoutMs: TIMEOUT_MS, env: { ...COMMITTER, ...env } };
  return (await git([`--work-tree=${top}`, ...args], options)).toString().trim();
}

/** For the reflog: the person's own config may name nobody, and git then refuses. */
const COMMITTER = { GIT_COMMITTER_NAME: "Longhaul", GIT_COMMITTER_EMAIL: "longhaul@localhost" };

/**
 * Settings, as git takes them from its environment, that switch off the hooks which the repository's config defines: git
 * 2.54 and later run them besides those of the hooks folder, each under a name of its own.
 */
export async function hooksOff(top: string): Promise<Record<string, string>> {
  const args = ["config", "--null", "--name-only", "--get-regexp", "^hook\\..*\\."];
  const keys = await askOwn(top, args).catch((error: unknown) => {
    // It has none.
    if (error instanceof GitFailure && /ended with status 1$/.test(error.message)) return "";
    throw error;
  });
  const names = keys.split("\0").flatMap((key) => /^hook\.(.*)\.[^.]+$/s.exec(key)?.[1] ?? []);
  const settings: Record<string, string> = {};
  const unique = [...new Set(names)];
  for (const [i, name] of unique.entries()) {
    settings[`GIT_CONFIG_KEY_${i}`] = `hook.${name}.enabled`;
    settings[`GIT_CONFIG_VALUE_${i}`] = "false";
  }
  return unique.length === 0 ? {} : { ...settings, GIT_CONFIG_COUNT: String(unique.length) };
}

function holds(top: string, commit: string): Promise<boolean> {
  return askOwn(top, ["cat-file", "-e", `${commit}^{commit}`]).then(
    () => true,
    () => false,
  );
}

async function broughtBefore(store: Store): Promise<Set<string>> {
  const text = await readFile(join(store.dir, BROUGHT_FILE), "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "";
    throw error;
  });
  return new Set(text.split("\n"));
}

/** The part of a session's id that tells it from others, short enough to be typed. */
export function branchName(sessionId: string): string {
  const body = sessionId.replace(/^[a-z]+_/, "").toLowerCase();
  return `longhaul/${body.slice(-10).replace(/[^a-z0-9]+/g, "-")}`;
}

/** The first name that is free, already has the commit, or is a branch of ours that only moves forward. */
async function freeBranch(
  top: string,
  { sessionId, store, tip }: Offer,
  known: ReadonlySet<string>,
): Promise<{ name: string; at: string | null }> {
  const format = "--format=%(refname)%00%(objectname)%00%(symref)%00%(worktreepath)";
  const listing = await askOwn(top, ["for-each-ref", format, "refs/heads/longhaul", "refs/heads/longhaul/"]);
  const branches = new Map<string, { at: string; symbolic: boolean; checkedOut: boolean }>();
  for (const line of listing.split("\n")) {
    const [ref = "", at = "", symref = "", place = ""] = line.split("\0");
    branches.set(ref.replace("refs/heads/", "").toLowerCase(), {
      at,
      symbolic: symref !== "",
      checkedOut: place !== "",
    });
  }
  if (branches.has("longhaul")) {
    throw new GitFailure(
      "a branch named `longhaul` is in the way of `longhaul/…`. Rename it with `git branch -m longhaul <other name>`, then try again",
    );
  }
  const base = branchName(sessionId);
  for (let n = 1; n <= MAX_NAMES; n += 1) {
    const name = n === 1 ? base : `${base}-${n}`;
    const found = branches.get(name);
    if (found === undefined) return { name, at: null };
    if (found.symbolic) continue;
    if (found.at === tip) return { name, at: tip };
    if (!known.has(found.at) || found.checkedOut) continue;
    const args = ["merge-base", "--is-ancestor", found.at, tip];
    const forward = await askStore(store, args).then(
      () => true,
      () => false,
    );
    if (forward) return { name, at: found.at };
  }
  throw new GitFailure(`there are ${MAX_NAMES} branches ${base}-… already. Delete those that are not needed`);
}

/** Sends what the repository lacks as one pack; every object of it is checked on arrival. */
async function sendObjects({ store, entry, tip }: Offer, top: string): Promise<void> {
  const pack = await startGit(
    [...storeArgs(store), "pack-objects", "--revs", "--thin", "--delta-base-offset", "--stdout", "--quiet"],
    { cwd: store.gitDir },
  );
  const index = await startGit([`--work-tree=${top}`, "index-pack", "--stdin", "--fix-thin", "--strict"], { cwd: top });
  index.stdout.resume();
  pack.stdin.end(`${tip}\n${entry.base === null ? "" : `^${entry.base}\n`}`);
  pack.stdout.pipe(index.stdin);
  const ends = [withinTime(pack, "pack-objects", TIMEOUT_MS), withinTime(index, "index-pack", TIMEOUT_MS)];
  try {
    await Promise.all(ends);
  } catch (error) {
    pack.kill("SIGKILL");
    index.kill("SIGKILL");
    const told = await Promise.allSettled(ends);
    // When one side fails the other only reports that its partner is gone.
    const first = told[1]?.status === "rejected" ? told[1].reason : error;
    throw first;
  }
  await askOwn(top, ["rev-list", "--objects", "--quiet", tip, ...(entry.base === null ? [] : [`^${entry.base}`])]);
}

function inWords(message: string): string {
  if (/\.lock'?: File exists/.test(message)) {
    return `git is at work there, or left a lock behind (${message.split("\n")[0]}). Try again; remove the lock if no git runs.`;
  }
  if (/permission denied|read-only file system|insufficient permission|unable to create/i.test(message)) {
    return `the repository cannot be written to (${message.split("\n")[0]}). Make its .git folder writable, then try again.`;
  }
  if (/no space left/i.test(message)) return `the disk is full. Free some space, then try again.`;
  return `${message}.`;
}
