/** Waiting for what passes by itself: a locked keychain, a broker that is being restarted. */
import { setTimeout as sleep } from "node:timers/promises";
import { McpError } from "../../tools/mcp/port.ts";

/** Milliseconds. */
export interface Patience {
  every: number;
  inAll: number;
}

/**
 * Tries again while nothing can be asked; null when it was stopped meanwhile. Rejects as `run` does, at the latest when
 * patience is at its end.
 * @param onWait told once why it waits
 */
export async function whenUnlocked<T>(
  run: () => Promise<T>,
  { every, inAll }: Patience,
  signal: AbortSignal,
  onWait: (why: string) => void,
): Promise<T | null> {
  for (let waited = 0; ; waited += every) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof McpError) || error.kind !== "locked" || error.sent === "maybe") throw error;
      if (waited >= inAll) throw error;
      if (waited === 0) onWait(error.message);
      await sleep(every, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return null;
    }
  }
}
