/** What the desktop shell offers beside the engine's API; absent in a browser. */
import type { ShellBridge } from "../main/contract/shell.ts";

declare global {
  interface Window {
    longhaul?: ShellBridge;
  }
}

/** The shell's bridge, or null in a browser. */
export function shell(): ShellBridge | null {
  return window.longhaul ?? null;
}

/** Name of the key that commands are given with on this machine. */
export const MOD = /mac/i.test(navigator.platform) ? "⌘" : "Ctrl";
