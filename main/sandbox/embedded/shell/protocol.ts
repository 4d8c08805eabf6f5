/** Messages between the host's main thread and the thread that runs the shell. */

/** What the shell thread is started with. */
export interface ShellThreadData {
  role: "shell";
  /** Folder of this disk that the shell sees as `/`. */
  root: string;
  state: ShellState;
}

/** What survives of a shell when its process ends. */
export interface ShellState {
  cwd: string;
  /** Exported variables. */
  env: Record<string, string>;
}

export interface RunCommand {
  type: "run";
  command: string;
  spillName: string;
  /** Set before the command when they are others than before it. */
  variables: Record<string, string>;
}

export interface CapturedOutput {
  text: string;
  truncated: { bytes: number; file: string | null } | null;
}

export type FromShell =
  | { type: "ready" }
  | { type: "output"; chunk: string }
  /** The command is done and the shell waits for the next one. `state` is null when it did not change. */
  | { type: "done"; exitCode: number; output: CapturedOutput; state: ShellState | null }
  /** The shell ended during the command: by `exit`, `set -e`, a limit, or a fault (`fault` says which). */
  | { type: "ended"; output: CapturedOutput; keepState: boolean; fault: string | null };
