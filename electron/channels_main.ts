/** The main process's typed side of the channels: the one place that listens on raw ones, and only to our own page. */
import { type IpcMainInvokeEvent, ipcMain } from "electron";
import type { ShellChannel, ShellChannels } from "./channels.ts";

type Handler<C extends ShellChannel> = (
  ...args: ShellChannels[C]["args"]
) => ShellChannels[C]["result"] | Promise<ShellChannels[C]["result"]>;

/**
 * True when a message comes from the top frame of a page that the engine served: a frame inside it, or a page that
 * got into the window by accident, must not reach the shell.
 */
export function isOurPage(event: Pick<IpcMainInvokeEvent, "senderFrame">, engineOrigin: string | null): boolean {
  const frame = event.senderFrame;
  if (frame === null || frame.parent !== null || engineOrigin === null) return false;
  return URL.canParse(frame.url) && new URL(frame.url).origin === engineOrigin;
}

/** Answers `channel` for our own page; anyone else gets an error. `engineOrigin` is asked at each call: ports change. */
export function answer<C extends ShellChannel>(
  channel: C,
  engineOrigin: () => string | null,
  handler: Handler<C>,
): void {
  ipcMain.handle(channel, (event, ...args: unknown[]) => {
    if (!isOurPage(event, engineOrigin()))
      throw new Error(`${channel} was refused: the sender is not Longhaul's page.`);
    return handler(...(args as ShellChannels[C]["args"]));
  });
}
