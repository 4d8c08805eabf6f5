/**
 * Stops the containers of sessions that have been at rest for long. Nothing is lost by it: a stopped container keeps its
 * files, and the next call starts it again. One in which a process of the agent still runs is left alone.
 */

import { posix } from "node:path";
import type Docker from "dockerode";
import { RUNNER_COMMAND } from "../../runner/files.ts";
import { engineCall, isFault, LOOK_MS, WORK_MS } from "../container/engine_call.ts";
import { STATE_DIR } from "../container/spec.ts";
import { containerName } from "../life/find.ts";
import type { Remnant } from "./inventory.ts";

export interface IdleRule {
  /** Milliseconds at rest after which a container is stopped. */
  idle_ms: number;
  /** Milliseconds since the epoch. */
  now: () => number;
  /** When the session came to rest (ms since the epoch); null while it works, waits for a retry, or is not known. */
  restingSince: (sessionId: string) => Promise<number | null>;
  /** Told before the container stops, so that nobody holds on to it. */
  beforeStop: (sessionId: string) => void;
}

const DEFAULT_IDLE_HOURS = 12;

/**
 * Milliseconds after which idle containers are stopped, from the value of `LONGHAUL_SANDBOX_IDLE_HOURS`; null: never.
 * @throws Error whose message names the variable and the fix
 */
export function idleTime(value: string | undefined): number | null {
  const text = value?.trim() ?? "";
  if (text === "") return DEFAULT_IDLE_HOURS * 3600_000;
  if (!/^\d{1,5}(\.\d{1,3})?$/.test(text)) {
    throw new Error(
      `LONGHAUL_SANDBOX_IDLE_HOURS=${text}: give a number of hours such as 12, or 0 to never stop a container`,
    );
  }
  return Number(text) === 0 ? null : Number(text) * 3600_000;
}

/** @returns the sessions whose containers were stopped. Rejects with SandboxLost when the engine does not answer. */
export async function reapIdle(docker: Docker, remnants: readonly Remnant[], rule: IdleRule): Promise<string[]> {
  const stopped: string[] = [];
  for (const { kind, id, name, install, session, state, standing } of remnants) {
    if (kind !== "container" || standing !== "live" || state !== "running" || session === null) continue;
    // Not one that is just being made.
    if (name !== containerName({ install, session })) continue;
    if (!(await isAtRest(session, rule))) continue;
    try {
      if (!(await isQuiet(docker, id, rule))) continue;
      // Asked again: a message may have come while the engine was looked at.
      if (!(await isAtRest(session, rule))) continue;
      rule.beforeStop(session);
      await engineCall(docker, "stop an idle sandbox", WORK_MS, (abortSignal) =>
        docker.getContainer(id).stop({ t: 1, abortSignal }),
      );
      stopped.push(session);
    } catch (error) {
      // It ended or went by itself.
      if (!isFault(error, "no_container", "not_running", "being_removed")) throw error;
    }
  }
  return stopped;
}

async function isAtRest(session: string, { restingSince, now, idle_ms }: IdleRule): Promise<boolean> {
  const since = await restingSince(session);
  return since !== null && now() - since >= idle_ms;
}

/** Not started just now (somebody looks at its files), and nothing of the agent's runs in it. */
async function isQuiet(docker: Docker, id: string, { now, idle_ms }: IdleRule): Promise<boolean> {
  const container = docker.getContainer(id);
  const look = <T>(ask: (abortSignal: AbortSignal) => Promise<T>): Promise<T> =>
    engineCall(docker, "look into an idle sandbox", LOOK_MS, ask);
  const { State } = await look((abortSignal) => container.inspect({ abortSignal }));
  if (now() - Date.parse(State.StartedAt) < Math.min(idle_ms, QUIET_MS)) return false;
  const table = await look((abortSignal) => container.top({ ps_args: "-eo pid,ppid,args", abortSignal }));
  return !runsForAgent(table as { Titles: string[]; Processes: string[][] });
}

/** A container that was started again is not stopped before this, however long its session has been at rest. */
const QUIET_MS = 30 * 60_000;

const INIT = /^(\S*\/)?(docker-init|tini|catatonit|podman-init|dumb-init)( |$)/;
/** The folder of the runner's scripts, in which the agent can write nothing. */
const SCRIPTS = `${posix.dirname(RUNNER_COMMAND[1] ?? "")}/`;
const MAIN = RUNNER_COMMAND[1] ?? "";
/** The agent's persistent shell: its program is in its arguments. */
const isShell = (command: string): boolean => command.includes(`${STATE_DIR}/req`);
/** A person's `docker exec -it … sh`. */
const BARE_SHELL = /^(\S*\/)?-?(ba|da|a|z|k)?sh( -\S+)*$/;

interface Process {
  parent: string;
  command: string;
}

/**
 * True when something runs that the agent, or a person, started. Ours are the init, the runner's scripts with what they
 * start, the persistent shell that waits right below the runner, and what came in from outside (channels, the network's
 * relay).
 * @param table of `ps -eo pid,ppid,args`
 */
export function runsForAgent({ Titles, Processes }: { Titles: string[]; Processes: string[][] }): boolean {
  const columns = ["PID", "PPID", "COMMAND"].map((title) => Titles.indexOf(title));
  const [pidAt = -1, parentAt = -1, commandAt = -1] = columns;
  // An engine that lists something else: nothing can be said, so something is taken to run.
  if (columns.includes(-1)) return true;
  const table = new Map<string, Process>();
  for (const row of Processes) {
    table.set(row[pidAt] ?? "", { parent: row[parentAt] ?? "", command: row[commandAt] ?? "" });
  }
  return [...table.values()].some((process) => !isOurs(process, table, 0));
}

function isOurs({ parent: parentId, command }: Process, table: ReadonlyMap<string, Process>, depth: number): boolean {
  const parent = table.get(parentId);
  if (parent === undefined) return !BARE_SHELL.test(command);
  if (isShell(command)) return parent.command.includes(MAIN) && !INIT.test(parent.command);
  if (command.includes(SCRIPTS)) return true;
  // A job that outlived its shell hangs on the init.
  if (INIT.test(parent.command) || isShell(parent.command) || depth > table.size) return false;
  return isOurs(parent, table, depth + 1);
}
