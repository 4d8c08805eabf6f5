/**
 * The channel to the process that started this one. The same child runs under `child_process.fork` (plain Node) and
 * under Electron's `utilityProcess`; only this file knows the difference, and it needs no import of Electron.
 */
import type { FromBroker, FromEngine, ToBroker, ToEngine } from "./contract/process.ts";

export interface ParentPort<Outgoing, Incoming> {
  /** Sends a message; one to a parent that is gone is dropped, because the disconnect is what ends this process. */
  send(message: Outgoing): void;
  /** Messages that arrived before the first listener are kept for it. */
  onMessage(listener: (message: Incoming) => void): void;
  /**
   * Calls once the parent is gone. Under Electron there is no such event: Chromium ends a utility process together
   * with its parent.
   */
  onDisconnect(listener: () => void): void;
}

/** `process.parentPort` of an Electron utility process: messages arrive wrapped in an event. */
interface UtilityPort {
  postMessage(message: unknown): void;
  on(event: "message", listener: (event: { data: unknown }) => void): unknown;
}

/** The part of `process` that this file uses, so that tests can stand in for either kind of parent. */
export interface ChildSide {
  parentPort?: UtilityPort | undefined;
  connected: boolean;
  send?: ((message: object, done: (error: Error | null) => void) => boolean) | undefined;
  on(event: "message", listener: (message: unknown) => void): unknown;
  once(event: "disconnect", listener: () => void): unknown;
}

/** Throws when nobody started this process as a child: then nobody would boot, supervise or drain it. */
export function parentPort<Outgoing extends FromBroker | FromEngine, Incoming extends ToBroker | ToEngine>(
  child: ChildSide = process as unknown as ChildSide,
): ParentPort<Outgoing, Incoming> {
  const utility = child.parentPort;
  if (utility !== undefined && utility !== null) {
    return {
      send: (message) => utility.postMessage(message),
      onMessage: (listener) => void utility.on("message", (event) => listener(event.data as Incoming)),
      onDisconnect: () => undefined,
    };
  }
  if (child.send === undefined) {
    throw new Error(
      "This process is a part of Longhaul and is started by it. Run `longhaul serve` or the app instead.",
    );
  }
  return {
    send: (message) => {
      // Node throws or reports a closed channel here; the disconnect listener is what acts on it.
      if (child.connected) child.send?.(message, () => undefined);
    },
    onMessage: (listener) => void child.on("message", (message) => listener(message as Incoming)),
    onDisconnect: (listener) => {
      if (child.connected) child.once("disconnect", listener);
      else queueMicrotask(listener);
    },
  };
}
