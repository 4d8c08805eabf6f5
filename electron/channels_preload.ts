/** The page's typed side of the channels. */
import { ipcRenderer } from "electron";
import type { ShellChannel, ShellChannels } from "./channels.ts";

/** Calls the shell. Rejects when it refuses or fails. */
export function call<C extends ShellChannel>(
  channel: C,
  ...args: ShellChannels[C]["args"]
): Promise<ShellChannels[C]["result"]> {
  return ipcRenderer.invoke(channel, ...args);
}
