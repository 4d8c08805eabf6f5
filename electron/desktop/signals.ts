/** What the machine does to running sessions: sleep, wake-up, network gone and back. Forwarded to the engine. */
import { net, powerMonitor } from "electron";
import type { ToEngine } from "../../main/contract/process.ts";

type Signal = Extract<ToEngine, { type: "power" | "network" }>;

/** Electron has no event for the network in the main process, only the state. */
const NETWORK_POLL_MS = 3000;

export interface Signals {
  /** Repeats what a fresh engine must know. */
  repeat(): void;
  stop(): void;
}

/** Calls `tell` at each change. Needs the app to be ready. */
export function forwardSignals(tell: (signal: Signal) => void): Signals {
  let online = net.isOnline();
  powerMonitor.on("suspend", () => tell({ type: "power", state: "suspend" }));
  powerMonitor.on("resume", () => tell({ type: "power", state: "resume" }));
  const timer = setInterval(() => {
    const now = net.isOnline();
    if (now === online) return;
    online = now;
    tell({ type: "network", online });
  }, NETWORK_POLL_MS);
  return {
    repeat: () => tell({ type: "network", online }),
    stop: () => clearInterval(timer),
  };
}
