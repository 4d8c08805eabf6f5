/** Whether the engine answers, and the sessions as it last described them. */
import { create } from "zustand";
import type { Health, ListFrame, SessionSummary } from "../../main/contract/local_api.ts";
import { follow } from "../api/follow.ts";
import { call, getHealth, listSessions } from "../api/local.ts";
import type { Problem } from "../api/problem.ts";

export type Connection = "connecting" | "open" | "away";

interface Engine {
  connection: Connection;
  /** When the connection got into its state. */
  since: number;
  problem: Problem | null;
  sessions: ReadonlyMap<string, SessionSummary>;
  /** True once the whole list has been read; before that, an empty list means nothing. */
  listed: boolean;
  health: Health | null;
}

export const useEngine = create<Engine>(() => ({
  connection: "connecting",
  since: Date.now(),
  problem: null,
  sessions: new Map(),
  listed: false,
  health: null,
}));

const SILENCE_MS = 4000;

/** Follows the session list until the returned function is called. */
export function startEngine(): () => void {
  let fresh = new Map<string, SessionSummary>();
  let reading: Promise<void> | null = null;
  const pending: ListFrame[] = [];
  let scheduled = false;

  const apply = (): void => {
    scheduled = false;
    const sessions = new Map(useEngine.getState().sessions);
    for (const frame of pending.splice(0)) {
      if (frame.type === "deleted") sessions.delete(frame.id);
      else sessions.set(frame.summary.id, frame.summary);
    }
    useEngine.setState({ sessions });
  };

  const readAll = async (): Promise<void> => {
    fresh = new Map();
    let page: string | null = null;
    do {
      const answer = await listSessions(page);
      for (const summary of answer.data) fresh.set(summary.id, summary);
      page = answer.next_page;
    } while (page !== null);
    // Frames that came meanwhile are newer than the list, except where the list has read further.
    const deleted = new Set(pending.flatMap((frame) => (frame.type === "deleted" ? [frame.id] : [])));
    for (const frame of pending.splice(0)) {
      if (frame.type !== "summary") continue;
      const listed = fresh.get(frame.summary.id);
      if (!listed || listed.fold.last_seq <= frame.summary.fold.last_seq) fresh.set(frame.summary.id, frame.summary);
    }
    for (const id of deleted) fresh.delete(id);
    useEngine.setState({ sessions: fresh, listed: true });
  };

  /** A list that could not be read while the stream is open would stay wrong until the next reconnection. */
  const readUntilDone = async (): Promise<void> => {
    for (let wait = 500; useEngine.getState().connection === "open"; wait = Math.min(10_000, wait * 2)) {
      try {
        return await readAll();
      } catch (error) {
        console.warn("The session list could not be read:", error);
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  };

  const stop = follow({
    open: (signal) => call("stream", { signal }),
    onFrame: (frame) => {
      pending.push(frame as ListFrame);
      if (reading !== null || scheduled) return;
      scheduled = true;
      requestAnimationFrame(apply);
    },
    onState: (state, problem) => {
      if (useEngine.getState().connection !== state)
        useEngine.setState({ connection: state, since: Date.now(), problem });
      if (state === "away") return;
      reading = readUntilDone().finally(() => {
        reading = null;
        apply();
      });
      refreshHealth();
    },
    silenceMs: SILENCE_MS,
    probe: (signal) => call("health", { signal }),
  });
  return stop;
}

/** Reads the checks again; what was known stays when the engine does not answer. */
export function refreshHealth(): void {
  getHealth().then(
    (health) => useEngine.setState({ health }),
    (error: unknown) => console.warn("The checks could not be read:", error),
  );
}
