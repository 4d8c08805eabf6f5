/** Where the parts of a person's repository are, found without changing or running anything of it. */
import { stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import { GitFailure, git } from "../git.ts";

export type ObjectFormat = "sha1" | "sha256";

/** Anything else is never given to git as an argument: what a sandbox says could be an option that writes to a file. */
export function isObjectId(text: string): boolean {
  return /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(text);
}

export interface Source {
  /** Real path of the work tree. */
  top: string;
  format: ObjectFormat;
  /** Absolute paths; in a linked work tree the index is its own and the objects are those of the main one. */
  objects: string;
  shallowFile: string;
  indexFile: string;
  /** The larger part of a split index; null when the index is whole. */
  sharedIndexFile: string | null;
  isShallow: boolean;
  /** A partial clone: some objects may only be at its remote. */
  isPartial: boolean;
  /** Settings that say how files of this disk become contents, for example `core.autocrlf=true`. */
  fileSettings: string[];
  userName: string | null;
}

const FILE_SETTINGS = "^core\\.(filemode|symlinks|ignorecase|autocrlf|eol|protecthfs|protectntfs)$";

/** @param top real path of a work tree. Rejects with {@link GitFailure}. */
export async function describeSource(top: string): Promise<Source> {
  const ask = async (...args: string[]): Promise<string> =>
    (await git([`--work-tree=${top}`, ...args], { cwd: top, timeoutMs: 60_000 })).toString().replace(/\n$/, "");
  const place = async (name: string): Promise<string> => {
    const path = await ask("rev-parse", "--git-path", name);
    return isAbsolute(path) ? path : join(top, path);
  };
  // A missing key is an exit status, not an answer.
  const config = (...args: string[]): Promise<string> => ask("config", "--local", ...args).catch(() => "");
  const format = await ask("rev-parse", "--show-object-format");
  if (format !== "sha1" && format !== "sha256") throw new GitFailure(`objects of the format ${format} are not known`);
  const shared = await ask("rev-parse", "--shared-index-path").catch(() => "");
  const shallowFile = await place("shallow");
  const settings = await config("-z", "--get-regexp", FILE_SETTINGS);
  return {
    top,
    format,
    objects: await place("objects"),
    shallowFile,
    indexFile: await place("index"),
    sharedIndexFile: shared === "" ? null : isAbsolute(shared) ? shared : join(top, shared),
    isShallow: ((await stat(shallowFile).catch(() => null))?.size ?? 0) > 0,
    isPartial: (await config("--get-regexp", "^(extensions\\.partialclone|remote\\..*\\.promisor)$")) !== "",
    // A key without a value means true.
    fileSettings: settings
      .split("\0")
      .filter((setting) => setting !== "")
      .map((setting) => (setting.includes("\n") ? setting.replace("\n", "=") : `${setting}=true`)),
    userName: (await config("--get", "user.name")) || null,
  };
}
