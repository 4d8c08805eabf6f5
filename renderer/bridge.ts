/** What the desktop shell offers beside the engine's API; absent in a browser. */
import { mayOpenOutside, type ShellBridge } from "../main/contract/shell.ts";

declare global {
  interface Window {
    longhaul?: ShellBridge;
  }
}

/** The shell's bridge, or null in a browser. */
export function shell(): ShellBridge | null {
  return window.longhaul ?? null;
}

/**
 * Opens a page in the person's own browser, where they are signed in to things. False when its address may not be opened,
 * or the shell could not; whether a browser opened its window is not known.
 */
export async function openOutside(url: string): Promise<boolean> {
  if (!mayOpenOutside(url)) return false;
  const bridge = shell();
  if (bridge !== null) return bridge.openExternal(url);
  window.open(url, "_blank", "noopener,noreferrer");
  return true;
}

/** Name of the key that commands are given with on this machine. */
export const MOD = /mac/i.test(navigator.platform) ? "⌘" : "Ctrl";
