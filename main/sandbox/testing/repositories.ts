/** Real repositories for tests, made with the machine's git. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** Runs git as a person would, with none of this machine's configuration. */
export function gitIn(folder: string, ...args: string[]): string {
  const env = {
    PATH: process.env["PATH"],
    HOME: folder,
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_AUTHOR_NAME: "a",
    GIT_AUTHOR_EMAIL: "a@example.com",
    GIT_COMMITTER_NAME: "a",
    GIT_COMMITTER_EMAIL: "a@example.com",
  };
  return execFileSync("git", args, { cwd: folder, env, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export function put(folder: string, path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), content);
  chmodSync(join(folder, path), mode);
}

/** A repository with one commit of `files`. */
export function repository(folder: string, files: Record<string, string | Uint8Array>): void {
  mkdirSync(folder, { recursive: true });
  gitIn(folder, "init", "-q", "-b", "main");
  for (const [path, content] of Object.entries(files)) put(folder, path, content);
  gitIn(folder, "add", "-A");
  gitIn(folder, "commit", "-q", "--allow-empty", "-m", "first");
}

/** Everything in a folder, `.git` included if asked, as path → kind, executable bit and hash of the content. */
export function fingerprint(folder: string, withGit = false, below = ""): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(join(folder, below)).sort()) {
    if (name === ".git" && !withGit) continue;
    const path = below === "" ? name : `${below}/${name}`;
    const stat = lstatSync(join(folder, path));
    if (stat.isDirectory()) Object.assign(found, fingerprint(folder, withGit, path));
    else if (stat.isSymbolicLink()) found[path] = `link ${readlinkSync(join(folder, path))}`;
    else {
      const hash = createHash("sha256")
        .update(readFileSync(join(folder, path)))
        .digest("hex");
      found[path] = `file ${(stat.mode & 0o100) !== 0 ? "x" : "-"} ${hash.slice(0, 16)}`;
    }
  }
  return found;
}
