/** The runner's own files; must exist, be writable for the agent, and outlive the container's process. */
export const RUNNER_STATE_DIR = "/var/lib/longhaul";
