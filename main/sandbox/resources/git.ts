/**
 * Runs the system's git so that nothing of a repository runs: no hook, filter, file-system monitor, pager, external
 * diff, credential helper or fetch, whatever its config says. The user's own config is not read either.
 */
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { constants } from "node:fs";
import { access, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";

/** Git failed; `message` is its own last words. */
export class GitFailure extends Error {
  override readonly name = "GitFailure";
}

/** Settings that win over those of a repository. */
const SETTINGS = [
  "core.fsmonitor=false",
  "core.hooksPath=/dev/null",
  "core.pager=cat",
  "core.sshCommand=false",
  "core.gitProxy=false",
  "core.untrackedCache=false",
  "core.precomposeUnicode=true",
  "core.quotePath=true",
  "credential.helper=",
  "protocol.allow=never",
  "submodule.recurse=false",
  "diff.external=",
  "diff.renames=false",
  "gc.auto=0",
  "maintenance.auto=false",
  "safe.directory=*",
];

const PASSED_ON = ["PATH", "HOME", "XDG_CONFIG_HOME", "USERPROFILE", "TMPDIR", "TMP", "TEMP", "SystemRoot", "windir"];

export interface GitOptions {
  /** Folder that git looks at; it never looks above it for a repository. */
  cwd: string;
  env?: Record<string, string>;
  /** Bytes for standard input. */
  input?: string | Uint8Array;
  /** More output than this is a failure. Bytes; 256 MiB when left out. */
  maxOutput?: number;
  /** Milliseconds after which git is killed; ten minutes when left out: a dead network disk must not hold anybody for ever. */
  timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 10 * 60_000;

/** Runs git and resolves with its standard output. Rejects with {@link GitFailure}. */
export async function git(args: readonly string[], options: GitOptions): Promise<Buffer> {
  const child = await startGit(args, options);
  const output: Buffer[] = [];
  let size = 0;
  const limit = options.maxOutput ?? 256 * 1024 * 1024;
  child.stdout.on("data", (chunk: Buffer) => {
    size += chunk.length;
    if (size > limit) child.kill("SIGKILL");
    else output.push(chunk);
  });
  child.stdin.end(options.input ?? "");
  const command = args.find((arg) => !arg.startsWith("-")) ?? "";
  await withinTime(child, command, options.timeoutMs).catch((error: unknown) => {
    throw size > limit ? new GitFailure(`git ${command} has more than ${limit} bytes to say`) : error;
  });
  return Buffer.concat(output, size);
}

/** Like {@link gitExit}; kills git and rejects after `timeoutMs`. */
export async function withinTime(
  child: ChildProcessWithoutNullStreams,
  command: string,
  timeoutMs: number = DEFAULT_TIMEOUT_MS,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(new GitFailure(`git ${command} took longer than ${Math.round(timeoutMs / 1000)} seconds and was stopped`));
    }, timeoutMs);
  });
  try {
    await Promise.race([gitExit(child, command), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Starts git with pipes; errors of its standard input are left to {@link gitExit}. */
export async function startGit(args: readonly string[], options: GitOptions): Promise<ChildProcessWithoutNullStreams> {
  const program = await findGit();
  const settings = SETTINGS.flatMap((setting) => ["-c", setting]);
  const child = spawn(program, ["--no-pager", ...settings, ...args], {
    cwd: options.cwd,
    env: { ...gitEnvironment(options.cwd), ...options.env },
    stdio: "pipe",
    windowsHide: true,
  });
  // When git ends early, the rest of its input has nowhere to go; its exit status tells why.
  child.stdin.on("error", () => undefined);
  return child;
}

/** Resolves when git has ended well. Rejects with {@link GitFailure}. */
export function gitExit(child: ChildProcessWithoutNullStreams, command: string): Promise<void> {
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString("utf8")).slice(-4000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", (error) => reject(new GitFailure(`git could not be started: ${error.message}`)));
    child.on("close", (code, signal) => {
      if (code === 0) resolve();
      else reject(new GitFailure(complaint.trim() || `git ${command} ended with ${signal ?? `status ${code}`}`));
    });
  });
}

function gitEnvironment(cwd: string): Record<string, string> {
  const env: Record<string, string> = {
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: process.platform === "win32" ? "NUL" : "/dev/null",
    GIT_ATTR_NOSYSTEM: "1",
    GIT_OPTIONAL_LOCKS: "0",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "",
    SSH_ASKPASS: "",
    GIT_NO_LAZY_FETCH: "1",
    GIT_NO_REPLACE_OBJECTS: "1",
    GIT_ALLOW_PROTOCOL: "none",
    // A folder whose own repository is broken must not be taken for a part of one further up.
    GIT_CEILING_DIRECTORIES: join(cwd, ".."),
  };
  for (const name of PASSED_ON) {
    const value = process.env[name];
    if (value !== undefined) env[name] = value;
  }
  return env;
}

let found: string | null = null;

/** The absolute path of git: a search that starts in the current folder would find the git of a hostile repository. */
async function findGit(): Promise<string> {
  if (found !== null) return found;
  const name = process.platform === "win32" ? "git.exe" : "git";
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const candidate = join(folder, name);
    if (!isAbsolute(folder) || !(await isProgram(candidate))) continue;
    found = candidate;
    return candidate;
  }
  throw new GitFailure("git is not installed (or not on PATH); install it to attach a repository of this disk.");
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    // Not here.
    return false;
  }
}
