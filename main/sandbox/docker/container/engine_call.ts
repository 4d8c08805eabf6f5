/** Calls to the container engine: each has a time limit, and each failure says what it means for the sandbox. */
import { setTimeout as sleep } from "node:timers/promises";
import type Docker from "dockerode";
import { SandboxLost } from "../../port.ts";
import { EngineUnavailable } from "../discovery/connect.ts";
import { asSandboxLost, type EngineFault, engineFault, type FaultKind } from "../failures.ts";

/** Milliseconds for calls that only look something up, and for calls that make the engine work. */
export const LOOK_MS = 15_000;
export const WORK_MS = 120_000;

/** A call failed; `fault` says how, for callers that can do something about it. */
export class EngineError extends SandboxLost {
  readonly fault: EngineFault;

  constructor(message: string, fault: EngineFault, cause: unknown) {
    super(message, { cause });
    this.fault = fault;
  }
}

/** Where the engine is, as the person knows it: `unix:///var/run/docker.sock`, `tcp://host:2375`. */
export function engineAddress(docker: Docker): string {
  const { socketPath, host, port, protocol } = docker.modem as unknown as Record<string, unknown>;
  if (typeof socketPath === "string") {
    return socketPath.startsWith("//") ? `npipe:${socketPath}` : `unix://${socketPath}`;
  }
  const name = String(host).replace(/^[a-z]+:\/\//, "");
  return `${protocol === "ssh" ? "ssh" : "tcp"}://${name}${port === undefined || port === "" ? "" : `:${String(port)}`}`;
}

/**
 * Makes one call. `doing` completes "the engine could not …": "start the container".
 * Rejects with {@link EngineError}; a SandboxLost of `call` itself is passed on.
 */
export async function engineCall<T>(
  docker: Docker,
  doing: string,
  limitMs: number,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController();
  const answered = new AbortController();
  const late = sleep(limitMs, undefined, { signal: answered.signal, ref: false }).then(
    () => {
      // Ends the request. A connection that was handed over before is not touched: `answered` came first.
      abort.abort();
      throw new DOMException(`no answer within ${Math.round(limitMs / 1000)} s`, "TimeoutError");
    },
    () => new Promise<never>(() => undefined),
  );
  try {
    return await Promise.race([call(abort.signal), late]);
  } catch (error) {
    if (error instanceof SandboxLost) throw error;
    throw new EngineError(asSandboxLost(error, doing, engineAddress(docker)).message, faultOf(error), error);
  } finally {
    answered.abort();
  }
}

/** Texts of an engine that is going down, sent as ordinary errors while its parts leave one after the other. */
const GOING_DOWN = /transport is closing|grpc|server is shutting down|context canceled|containerd/i;

function faultOf(error: unknown): EngineFault {
  const fault = engineFault(error);
  const goingDown = fault.status === 503 || ((fault.status ?? 0) >= 500 && GOING_DOWN.test(fault.detail));
  return goingDown && fault.kind === "other" ? { ...fault, kind: "unreachable" } : fault;
}

/** The failed call of the engine behind an error, also one that names the step which it failed. */
export function engineErrorOf(error: unknown): EngineError | null {
  for (let at = error; at instanceof SandboxLost; at = at.cause) if (at instanceof EngineError) return at;
  return null;
}

/** True when a call of the engine failed in one of these ways. */
export function isFault(error: unknown, ...kinds: FaultKind[]): boolean {
  const fault = engineErrorOf(error)?.fault;
  return fault !== undefined && kinds.includes(fault.kind);
}

const NOT_ANSWERING = ["unreachable", "silent", "none"];

/** True when the engine did not answer: it may be restarting, and its containers may be running. */
export function engineGone(error: unknown): boolean {
  if (error instanceof EngineUnavailable) return NOT_ANSWERING.includes(error.reason);
  return isFault(error, "unreachable", "timeout");
}

/** True when the engine does not know the container (any more). */
export function containerGone(error: unknown): boolean {
  return isFault(error, "no_container") || engineErrorOf(error)?.fault.status === 404;
}
