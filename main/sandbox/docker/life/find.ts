/** The container of a session on the engine: found by its name, which it gets when it is set up completely. */
import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { SandboxLost } from "../../port.ts";
import { DockerContainer } from "../container/container.ts";
import { containerGone, engineCall, isFault, LOOK_MS, WORK_MS } from "../container/engine_call.ts";
import { LABELS } from "../container/spec.ts";

/** A half-made container of a process that is alive is waited for so long. */
const MAKING_MS = 120_000;
const REMOVING_MS = 20_000;

/** This process, in the label `longhaul.maker`. */
const NONCE = randomBytes(6).toString("hex");
export const MAKER = `${process.pid}-${NONCE}`;
/** Names of the containers that this process is making, and how many provider objects are at each. */
const making = new Map<string, number>();

export interface Owner {
  session: string;
  install: string;
}

export interface Found {
  container: DockerContainer;
  status: "running" | "paused" | "stopped";
  /** Killed because memory ran out, the last time that it ended. */
  oomKilled: boolean;
  exitCode: number;
  /** Its limit. */
  memoryBytes: number;
  /** The engine is about to remove it, or failed to. */
  removing: boolean;
  labels: Record<string, string>;
}

/** Name of a session's container: one per install, so that two that make it at once end up with the same. */
export function containerName(owner: Owner): string {
  const part = (text: string): string => text.replace(/[^A-Za-z0-9_.-]/g, "_").slice(0, 100);
  return `longhaul-${part(owner.install)}-${part(owner.session)}`;
}

/** How the container is called until it is set up completely; what has this name is never taken on. */
export function unfinishedName(owner: Owner): string {
  return `${containerName(owner)}.unfinished`;
}

/** Looks once. Null when there is none. Rejects with EngineError, or SandboxLost when the name is somebody else's. */
export async function look(docker: Docker, owner: Owner, name = containerName(owner)): Promise<Found | null> {
  let info: Docker.ContainerInspectInfo;
  try {
    info = await engineCall(docker, "look up the sandbox's container", LOOK_MS, (abortSignal) =>
      docker.getContainer(name).inspect({ abortSignal }),
    );
  } catch (error) {
    if (containerGone(error)) return null;
    throw error;
  }
  const labels = info.Config.Labels ?? {};
  if (labels[LABELS.install] !== owner.install || labels[LABELS.session] !== owner.session) {
    throw new SandboxLost(
      `The container ${name} belongs to somebody else, so no sandbox was made. Rename or remove it and call again.`,
    );
  }
  const { State } = info;
  return {
    container: new DockerContainer(docker, info.Id, owner.session),
    status: State.Paused ? "paused" : State.Running ? "running" : "stopped",
    oomKilled: State.OOMKilled,
    exitCode: State.ExitCode,
    memoryBytes: info.HostConfig.Memory ?? 0,
    labels,
    removing: State.Dead || State.Status === "removing" || State.Status === "dead",
  };
}

/**
 * The session's container if there is one; one that is being made or removed is waited for, and a half-made one that
 * nobody is finishing is removed.
 */
export async function settledContainer(docker: Docker, owner: Owner): Promise<Found | null> {
  const started = performance.now();
  for (;;) {
    const found = await look(docker, owner);
    if (found !== null && !found.removing) return found;
    const waited = performance.now() - started;
    if (found !== null) {
      if (waited > REMOVING_MS) await removeContainer(docker, found.container.id);
    } else {
      const unfinished = await look(docker, owner, unfinishedName(owner));
      if (unfinished === null) return null;
      if (!isBeingMade(owner, unfinished) || waited > MAKING_MS) {
        await removeContainer(docker, unfinished.container.id);
        return null;
      }
    }
    await sleep(100);
  }
}

function isBeingMade(owner: Owner, found: Found): boolean {
  const [pid, nonce] = (found.labels[LABELS.maker] ?? "").split("-");
  if (nonce === NONCE) return making.has(containerName(owner));
  try {
    process.kill(Number(pid), 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Runs `make` while other providers of this process wait for the container instead of clearing it away. */
export async function whileMaking<T>(owner: Owner, make: () => Promise<T>): Promise<T> {
  const name = containerName(owner);
  making.set(name, (making.get(name) ?? 0) + 1);
  try {
    return await make();
  } finally {
    const others = (making.get(name) ?? 1) - 1;
    if (others === 0) making.delete(name);
    else making.set(name, others);
  }
}

/**
 * Gives a container that was set up completely its name: from now on it is taken on as it is. A rename is one atomic act
 * of the engine and costs nothing to check, unlike a file in the container. False when another one has the name by now.
 */
export async function markReady(container: DockerContainer, owner: Owner): Promise<boolean> {
  try {
    await engineCall(container.docker, "name the sandbox's container", LOOK_MS, (abortSignal) =>
      container.docker.getContainer(container.id).rename({ name: containerName(owner), abortSignal }),
    );
    return true;
  } catch (error) {
    if (isFault(error, "name_taken")) return false;
    throw error;
  }
}

/** Removes a container with its unnamed volumes. Idempotent. */
export async function removeContainer(docker: Docker, id: string): Promise<void> {
  try {
    await engineCall(docker, "remove the sandbox's container", WORK_MS, (abortSignal) =>
      docker.getContainer(id).remove({ force: true, v: true, abortSignal }),
    );
  } catch (error) {
    if (isFault(error, "being_removed")) return waitUntilGone(docker, id);
    if (!containerGone(error)) throw error;
  }
}

async function waitUntilGone(docker: Docker, id: string): Promise<void> {
  const deadline = performance.now() + REMOVING_MS;
  while (performance.now() < deadline) {
    try {
      await engineCall(docker, "look up the sandbox's container", LOOK_MS, () => docker.getContainer(id).inspect());
    } catch (error) {
      if (containerGone(error)) return;
      throw error;
    }
    await sleep(100);
  }
  throw new SandboxLost("The engine does not finish removing the sandbox's old container. Call again in a while.");
}
