/** Looks at a repository in a container: what it holds now becomes a commit in the store of this side. */
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ChangesUnavailable, SandboxLost } from "../../port.ts";
import { GitFailure } from "../../resources/git.ts";
import { importBundle } from "../../resources/history/bundle.ts";
import { commitFiles, type IncomingCopy, type IncomingFile } from "../../resources/history/file_commit.ts";
import { isObjectId, type ObjectFormat } from "../../resources/history/source.ts";
import {
  createStore,
  type Entry,
  folderName,
  HEAD_REF,
  inStore,
  readEntry,
  refOf,
  type Store,
  showExactly,
  storeOf,
  TIP_REF,
  tidy,
  writeEntry,
} from "../../resources/history/store.ts";
import { mountPath } from "../../resources/mount.ts";
import { MAX_BYTES } from "../../resources/repository.ts";
import type { RepositoryResource } from "../../resources/select.ts";
import { isFault } from "../container/engine_call.ts";
import type { Container, ExecResult } from "../ports.ts";
import { entriesOf, failureText, type Marker, runScript, SCRATCH } from "./inside.ts";
import { COMMIT_AND_BUNDLE, NO_GIT, NO_REPOSITORY, REMOVE, UNBORN } from "./scripts.ts";

export interface Look {
  store: Store;
  entry: Entry;
  /** Commit of what the work tree holds, on top of the agent's own commits. */
  tip: string;
  note?: string;
}

const LOOK_TIMEOUT_MS = 5 * 60_000;

/** What the path of a repository is called: where it is from. */
export function originOf(resource: RepositoryResource): string {
  return resource.type === "local_repository" ? resource.path : resource.url;
}

/**
 * Null when the repository never entered. Rejects with ChangesUnavailable, or SandboxLost.
 * @param container a running one; null tells of the last look
 */
export async function lookAt(
  container: Container | null,
  markers: ReadonlyMap<string, Marker>,
  dataDir: string,
  sessionId: string,
  resource: RepositoryResource,
): Promise<Look | null> {
  const store = storeOf(dataDir, sessionId, resource.id);
  const entry = await readEntry(store);
  try {
    if (container === null) {
      const tip = entry === null ? null : await refOf(store, TIP_REF);
      if (entry === null || tip === null) return null;
      return { store, entry, tip, note: "The sandbox is gone: this is what it held when it was last looked at." };
    }
    const marker = markers.get(folderName(resource.id));
    if (marker?.state !== "complete") return null;
    const at = marker.entry ?? entry?.commit ?? "";
    return await fresh(container, resource, store, entry?.commit === at ? entry : null, at);
  } catch (error) {
    if (error instanceof SandboxLost || error instanceof ChangesUnavailable) throw error;
    const text = error instanceof Error ? error.message : String(error);
    const why = /took longer/.test(text)
      ? `looking at its files takes longer than ${LOOK_TIMEOUT_MS / 60_000} minutes. Let the agent add large files to .gitignore, or delete them.`
      : text.replace(/[.\s]*$/, ".");
    throw new ChangesUnavailable(
      `The changes of ${originOf(resource)} cannot be shown: ${why} The repository in the sandbox (${resource.mount_path}) is as the agent left it.`,
    );
  }
}

async function fresh(
  container: Container,
  resource: RepositoryResource,
  store: Store,
  entry: Entry | null,
  entered: string,
): Promise<Look> {
  const target = mountPath(resource);
  const work = `${SCRATCH}/look-${folderName(resource.id)}`;
  const known = entry === null ? [] : await knownCommits(store, entry);
  const args = [target, work, known.join(" ") || entered, known.join(" "), entry === null ? "cut" : ""];
  try {
    const limit = { timeoutMs: LOOK_TIMEOUT_MS };
    const done = await whenAwake(() => runScript(container, COMMIT_AND_BUNDLE, args, limit));
    if (done.exitCode !== 0) {
      const why = damageText(done);
      return await fromFiles(container, target, store, needed(entry, why), why);
    }
    const [head = "", tip = "", format = "", size = ""] = done.stdout.toString().trim().split(" ");
    // Programs in the sandbox are the agent's to replace: what they say is taken for an id only when it looks like one.
    if (!isObjectId(head) || !isObjectId(tip)) {
      const why = "git does not answer as git does";
      return await fromFiles(container, target, store, needed(entry, why), why);
    }
    const looked = entry ?? (await newStore(store, entered, format));
    try {
      if (size !== "known" && size !== "0") await receive(container, `${work}/bundle`, Number(size), tip, store);
      await inStore(store, ["rev-list", "--quiet", "-n", "1", tip]);
      if (entry === null) await writeEntry(store, looked);
      await inStore(store, ["update-ref", TIP_REF, tip]);
      await inStore(store, ["update-ref", HEAD_REF, head]);
    } catch (error) {
      if (!(error instanceof GitFailure)) throw error;
      const why = `its history could not be taken over (${error.message.split("\n").at(-1)})`;
      return await fromFiles(container, target, store, needed(entry, why), why);
    }
    await tidy(store);
    return { store, entry: looked, tip };
  } finally {
    await runScript(container, REMOVE, [work]).catch(() => undefined);
  }
}

function damageText(done: ExecResult): string {
  if (done.exitCode === UNBORN) return "the branch that is checked out has no commit";
  const replaced = done.exitCode === NO_REPOSITORY || done.exitCode === NO_GIT;
  return replaced ? "its .git folder was removed or replaced" : failureText(done);
}

/** Stands still while its files are copied for a checkpoint; no program can be started in it then. */
async function whenAwake(run: () => Promise<ExecResult>): Promise<ExecResult> {
  for (const until = performance.now() + LOOK_TIMEOUT_MS; ; ) {
    try {
      return await run();
    } catch (error) {
      if (!isFault(error, "paused") || performance.now() > until) throw error;
      await sleep(200);
    }
  }
}

function needed(entry: Entry | null, why: string): Entry {
  if (entry !== null) return entry;
  throw new Error(`${why}, and what it was cloned with is not known here.`);
}

async function knownCommits(store: Store, entry: Entry): Promise<string[]> {
  const refs = [await refOf(store, HEAD_REF), await refOf(store, TIP_REF)];
  return [...new Set([entry.commit, ...refs.filter((id) => id !== null)])];
}

/** A store for a repository that was cloned inside: its history begins with the commit that was checked out. */
async function newStore(store: Store, commit: string, format: string): Promise<Entry> {
  const known: ObjectFormat = format === "sha256" ? "sha256" : "sha1";
  await createStore(store, known);
  await writeFile(join(store.gitDir, "shallow"), `${commit}\n`);
  await showExactly(store);
  return { format: known, commit, base: commit, branch: null };
}

async function receive(container: Container, path: string, size: number, tip: string, store: Store): Promise<void> {
  if (!(size <= MAX_BYTES)) {
    throw new ChangesUnavailable(
      "what the agent changed is larger than 2 GB. Let the agent ignore or delete large files (.gitignore).",
    );
  }
  const tar = await container.getTar(path);
  if (tar === null) throw new Error("the sandbox's bundle disappeared while it was read.");
  for await (const { header, body } of entriesOf(tar)) {
    if (header.type !== "file") break;
    const commit = await importBundle(store, body, "refs/longhaul/tip", MAX_BYTES);
    if (commit !== tip) throw new GitFailure("the sandbox's bundle is not the one that was announced");
    return;
  }
  throw new Error("the sandbox's bundle could not be read.");
}

/** For a repository that is broken: its files are compared with those that entered. */
async function fromFiles(container: Container, target: string, store: Store, entry: Entry, why: string): Promise<Look> {
  const tar = await container.getTar(target);
  const tip = await commitFiles(store, entry, tar === null ? none() : filesOf(entriesOf(tar)));
  await inStore(store, ["update-ref", TIP_REF, tip]);
  await rm(join(store.gitDir, "no-files"), { recursive: true, force: true });
  return { store, entry, tip, note: `Only the files were compared: in the sandbox ${why}.` };
}

async function* none(): AsyncGenerator<IncomingFile> {
  // The folder is gone: everything in it was removed.
}

async function* filesOf(entries: ReturnType<typeof entriesOf>): AsyncGenerator<IncomingFile | IncomingCopy> {
  for await (const { header, body } of entries) {
    const path = inside(header.name);
    if (path === null) continue;
    const size = header.size ?? 0;
    if (header.type === "file" || header.type === "contiguous-file") {
      yield { path, kind: ((header.mode ?? 0) & 0o100) === 0 ? "file" : "executable", size, body };
    } else if (header.type === "symlink") {
      const bytes = Buffer.from(header.linkname ?? "");
      yield { path, kind: "link", size: bytes.length, body: single(bytes) };
    } else if (header.type === "link") {
      const of = inside(header.linkname ?? "");
      if (of !== null) yield { path, kind: "copy", of };
    }
  }
}

async function* single(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}

/** The path below the archive's folder; null for what is no file of a work tree. */
function inside(name: string): string | null {
  const parts = name
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .slice(1);
  const forbidden = parts.some((part) => part === ".." || /^\.git$/i.test(part) || /[\0\ufffd]/.test(part));
  return parts.length === 0 || forbidden ? null : parts.join("/");
}
