/** What a container needs of the runner: its scripts, its main command and the command of a channel to it. */
import { fileOperations } from "./scripts/file_operations.ts";
import { mainScript } from "./scripts/main_script.ts";
import { relay } from "./scripts/relay.ts";
import { bashShell, plainShell } from "./scripts/shells.ts";
import { watch } from "./scripts/watch.ts";
import { RUNNER_STATE_DIR } from "./state_dir.ts";

export { RUNNER_STATE_DIR };

const SCRIPTS_DIR = "/opt/longhaul";

/** The container's main command; it runs as the agent and needs the scripts of {@link runnerFiles}. */
export const RUNNER_COMMAND: readonly string[] = ["/bin/sh", `${SCRIPTS_DIR}/main.sh`];
/** What to execute in the container, as the agent and with pipes, for a channel that `RunnerClient.open` takes. */
export const CHANNEL_COMMAND: readonly string[] = ["/bin/sh", `${SCRIPTS_DIR}/relay.sh`];

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
