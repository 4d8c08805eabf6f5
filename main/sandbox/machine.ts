/**
 * What a provider must offer so that the toolset works on it: one persistent shell and a file system. The tools are
 * written once on top of this. Paths are those that the agent sees; methods that take a path expect one that
 * {@link Machine.resolve} returned.
 */

/** The directory that relative paths start from. */
export const WORKDIR = "/workspace";
/** Attached files; the agent can read them only. */
export const UPLOADS = "/mnt/session/uploads";
export const OUTPUTS = "/mnt/session/outputs";
/** Where the whole text of an output goes that is too long for the model. */
export const SPILL_DIR = "/tmp/tool-output";

/** Directories that the file tools may touch. The shell is not confined to them. */
export const FILE_ROOTS = [WORKDIR, "/mnt/session", "/mnt/memory", "/tmp"] as const;
export const READ_ONLY_ROOTS = [UPLOADS] as const;

export interface FileStat {
  kind: "file" | "directory" | "other";
  /** Bytes. */
  size: number;
}

export interface WalkEntry {
  path: string;
  mtime_ms: number;
}

export interface ShellRun {
  /** Milliseconds until the command is stopped and the shell discarded. */
  timeoutMs: number;
  signal: AbortSignal;
  onOutput: (chunk: string) => void;
  /** Name (without folder) of the file under {@link SPILL_DIR} that gets the whole output when it is long. */
  spillName: string;
}

export interface ShellOutput {
  exitCode: number;
  /** The last {@link OUTPUT_LIMIT} bytes of standard output and standard error, decoded. */
  text: string;
  /** Set when `text` is not everything: how much there was, and the file with the first 10 MB of it. */
  truncated: { bytes: number; file: string | null } | null;
}

/** Bytes of a command's output that the model sees (contract: 100 KiB). */
export const OUTPUT_LIMIT = 100 * 1024;

export interface Machine {
  /**
   * The canonical path behind `path`: absolute, free of symbolic links, inside {@link FILE_ROOTS}. The file itself may
   * be missing. Rejects with {@link PathRefused} or {@link FileError}.
   */
  resolve(path: string): Promise<string>;
  /** Rejects with {@link FileError}. */
  stat(path: string): Promise<FileStat>;
  /** The bytes of a regular file in order. Rejects with {@link FileError}. */
  read(path: string): AsyncIterable<Uint8Array>;
  /** Replaces or creates a file atomically, with its folders; an existing file keeps its mode. */
  write(path: string, content: string): Promise<void>;
  /** Regular files below `root` (or `root` itself), links not followed, `.git` and `node_modules` skipped, bounded. */
  walk(root: string, signal: AbortSignal): AsyncIterable<WalkEntry>;
  /** Runs a command in the session's shell. Rejects with {@link ShellFailure}. Never called twice at a time. */
  run(command: string, options: ShellRun): Promise<ShellOutput>;
  restartShell(): Promise<void>;
  /** Read-only directories that only this machine has; without it those that every one has. */
  readOnlyRoots?(): readonly string[];
}

/** A file operation failed; `code` is the system's (`ENOENT`, …). */
export class FileError extends Error {
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.name = "FileError";
    this.code = code;
  }
}

/** The path leads outside the directories that the file tools may touch. */
export class PathRefused extends Error {
  constructor(path: string) {
    super(
      `path ${JSON.stringify(path)} is outside the session's working directory and its other permitted directories`,
    );
    this.name = "PathRefused";
  }
}

/** The shell ended instead of reporting an exit status. */
export class ShellFailure extends Error {
  readonly reason: "timeout" | "terminated" | "interrupted" | "resources";
  /** Output until then. */
  readonly output: string;

  constructor(reason: ShellFailure["reason"], message: string, output: string) {
    super(message);
    this.name = "ShellFailure";
    this.reason = reason;
    this.output = output;
  }
}

/** The machine's read-only root that holds `path`, or null. */
export function readOnlyRoot(machine: Machine, path: string): string | null {
  return [...READ_ONLY_ROOTS, ...(machine.readOnlyRoots?.() ?? [])].find((root) => isWithin(root, path)) ?? null;
}

/** True when `path` is `root` or below it. Both are normalised absolute paths with slashes. */
export function isWithin(root: string, path: string): boolean {
  return path === root || path.startsWith(root.endsWith("/") ? root : `${root}/`);
}
