/** The runner's own files; must exist, belong to the agent, and outlive the container's process. */
export const RUNNER_STATE_DIR = "/var/lib/longhaul";
