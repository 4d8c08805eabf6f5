/** Where the parts of an embedded sandbox are on this disk. */
import { createHash } from "node:crypto";
import { lstatSync, mkdirSync, realpathSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { OUTPUTS, UPLOADS, WORKDIR } from "../machine.ts";

export interface SandboxLayout {
  /** Everything of the session's sandbox. */
  dir: string;
  /** What the agent sees as `/`. */
  root: string;
  /** One folder per call: it exists from before the call ran. */
  calls: string;
  /** Address, process and secret of the host; readable by its owner only. */
  hostFile: string;
  /** Working directory and exported variables of the shell. */
  stateFile: string;
  log: string;
  /** What entered the sandbox, one folder per attached repository. */
  baselines: string;
  /** Resources on their way in; nothing in here is complete. */
  staging: string;
  /** One file per resource that is completely in. */
  markers: string;
  /** Files that the host is writing. */
  scratch: string;
  /** What mounted memory stores had in common with their folders last. */
  memory: string;
  /** Paths of read-only mounts. */
  readOnlyFile: string;
  /** Placeholders of variables, by name. */
  variablesFile: string;
}

/** Home directory of the agent in the embedded sandbox. */
export const HOME = "/home/user";

/**
 * Makes the folders that every sandbox has; also those that the agent removed. What it put in the place of one stays.
 * Throws when the disk refuses.
 */
export function makeSandboxFolders(root: string): void {
  mkdirSync(root, { recursive: true });
  for (const folder of [WORKDIR, UPLOADS, OUTPUTS, "/tmp", HOME]) makeFolder(root, folder);
}

/**
 * Makes a folder with those above it, without following a link: one of the agent's could lead out of the sandbox.
 * @param path as the agent sees it, without . and .. parts
 * @returns its real path on this disk; null when a link or a file is in the way. Throws when the disk refuses.
 */
export function makeFolder(root: string, path: string): string | null {
  let folder = realpathSync(root);
  for (const part of path.split("/").filter((name) => name !== "")) {
    folder = join(folder, part);
    const found = lstatSync(folder, { throwIfNoEntry: false });
    // The host and the engine may both be about to make it.
    if (found === undefined) mkdirSync(folder, { recursive: true });
    else if (!found.isDirectory()) return null;
  }
  return folder;
}

/** @param sessionId a session id of the contract; it becomes a folder name */
export function sandboxLayout(dataDir: string, sessionId: string): SandboxLayout {
  return layoutOf(join(sandboxesDir(dataDir), safeName(sessionId)));
}

export function sandboxesDir(dataDir: string): string {
  return join(dataDir, "sandboxes");
}

export function layoutOf(dir: string): SandboxLayout {
  return {
    dir,
    root: join(dir, "root"),
    calls: join(dir, "calls"),
    hostFile: join(dir, "host.json"),
    stateFile: join(dir, "state.json"),
    log: join(dir, "host.log"),
    baselines: join(dir, "baselines"),
    staging: join(dir, "staging"),
    markers: join(dir, "resources"),
    scratch: join(dir, "scratch"),
    memory: join(dir, "memory"),
    readOnlyFile: join(dir, "memory", "read_only.list"),
    variablesFile: join(dir, "variables.json"),
  };
}

/** Ids are letters, digits and underscores; anything else is replaced by its hash, never taken as a path. */
export function safeName(id: string): string {
  return /^[A-Za-z0-9_-]{1,100}$/.test(id) ? id : `id-${createHash("sha256").update(id).digest("hex").slice(0, 40)}`;
}

/**
 * Where the host of a sandbox listens. Socket paths are limited to about 100 bytes, so it cannot be in the sandbox's own
 * folder; the folder it is in belongs to this user alone. Throws when somebody else made that folder.
 */
export function hostAddress(dir: string): string {
  const hash = createHash("sha256").update(realpathSync(dir)).digest("hex").slice(0, 24);
  if (process.platform === "win32") return `\\\\.\\pipe\\longhaul-${hash}`;
  const { uid } = userInfo();
  const folder = join(tmpdir(), `longhaul-${uid}`);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const stat = lstatSync(folder);
  if (!stat.isDirectory() || stat.uid !== uid || (stat.mode & 0o077) !== 0) {
    throw new Error(`${folder} does not belong to this user alone; remove it, it holds nothing of value.`);
  }
  return join(folder, `${hash}.sock`);
}
