/** What a container needs of the runner: its scripts, its main command and the command of a channel to it. */
import { fileOperations } from "./scripts/file_operations.ts";
import { mainScript } from "./scripts/main_script.ts";
import { relay } from "./scripts/relay.ts";
import { bashShell, plainShell } from "./scripts/shells.ts";
import { watch } from "./scripts/watch.ts";
import { RUNNER_STATE_DIR } from "./state_dir.ts";

export { RUNNER_STATE_DIR };

export const SCRIPTS_DIR = "/opt/longhaul";
/**
 * Shell text with variables for the agent's commands, whose first line is `: <version>` and which sets
 * `LONGHAUL_VARIABLES` to that version. It need not be there; a new one is read before the next command.
 */
export const VARIABLES_FILE = `${SCRIPTS_DIR}/variables`;

/** The container's main command; it runs as the agent and needs the scripts of {@link runnerFiles}. */
export const RUNNER_COMMAND: readonly string[] = ["/bin/sh", `${SCRIPTS_DIR}/main.sh`];
/** What to execute in the container, as the agent and with pipes, for a channel that `RunnerClient.open` takes. */
export const CHANNEL_COMMAND: readonly string[] = ["/bin/sh", `${SCRIPTS_DIR}/relay.sh`];

/** An entry of {@link runnerState}. */
export interface StateEntry {
  path: string;
  type: "directory" | "file" | "fifo";
  mode: number;
}

/**
 * The runner's state, to be put into the container as root's before it starts: folders in which the agent can write, and
 * pipes and files that it can neither remove nor rename. What is missing of it (an engine may unpack no pipes) the runner
 * makes itself, if it can write in {@link RUNNER_STATE_DIR}.
 */
export function runnerState(): StateEntry[] {
  const directory = (path: string): StateEntry => ({ path, type: "directory", mode: 0o1777 });
  const name = (type: "file" | "fifo", base: string): StateEntry => ({
    path: `${RUNNER_STATE_DIR}/${base}`,
    type,
    mode: 0o666,
  });
  return [
    directory(RUNNER_STATE_DIR),
    directory(`${RUNNER_STATE_DIR}/calls`),
    directory(`${RUNNER_STATE_DIR}/tmp`),
    name("fifo", "req"),
    name("fifo", "watch"),
    name("file", "ready"),
    name("file", "shell.pid"),
  ];
}

/** The scripts, to be put into the container as root's and read-only before it starts. */
export function runnerFiles(): { path: string; content: string; mode: number }[] {
  const files: Record<string, string> = {
    "main.sh": mainScript,
    "relay.sh": relay,
    "file_operations.sh": fileOperations,
    "shell.bash": bashShell,
    "shell.sh": plainShell,
    "watch.sh": watch,
  };
  return Object.entries(files).map(([name, content]) => ({ path: `${SCRIPTS_DIR}/${name}`, content, mode: 0o444 }));
}
