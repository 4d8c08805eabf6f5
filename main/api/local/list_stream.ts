/** `GET /longhaul/v1/stream`: the session list as it changes, at most 10 frames per second and session. */
import { setTimeout as sleep } from "node:timers/promises";
import type { ListFrame } from "../../contract/local_api.ts";
import type { Api, Deps } from "../http/context.ts";
import { asApiError } from "../http/failure.ts";
import { SseWriter } from "../sse/writer.ts";
import { summaryOf } from "./summary.ts";

const INTERVAL_MS = 100;

export function mountListStream(api: Api, deps: Deps): void {
  api.get("/longhaul/v1/stream", (c) => {
    const changed = new ChangedSessions();
    const stops = [
      deps.ledger.subscribe((events) => {
        for (const { session_id, event } of events) changed.add(session_id, event.type === "session.deleted");
      }),
      deps.orchestrator.onActivity((id) => changed.add(id, false)),
    ];
    const writer = new SseWriter();
    writer.onClose(() => {
      for (const stop of stops) stop();
      changed.close();
    });
    const run = async () => {
      try {
        await pump(deps, writer, changed);
      } catch (error) {
        const requestId = c.get("requestId");
        deps.reportFailure?.({ request_id: requestId, method: "GET", path: "/longhaul/v1/stream", error });
        writer.frame("error", asApiError(error).envelope(requestId));
      }
      writer.end();
    };
    void run();
    return writer.response;
  });
}

/** Sessions that changed since they were last sent: at most one entry each, however slow the reader is. */
class ChangedSessions {
  #sessions = new Map<string, { deleted: boolean }>();
  #wake: (() => void) | null = null;
  #closed = false;

  add(id: string, deleted: boolean): void {
    if (this.#closed) return;
    // Once deleted always deleted: the lease of a run that ends late must not bring the row back.
    const known = this.#sessions.get(id);
    this.#sessions.set(id, { deleted: deleted || known?.deleted === true });
    this.#wake?.();
  }

  /** What changed since the last call; waits until something did. null once closed. */
  async take(): Promise<Map<string, { deleted: boolean }> | null> {
    while (this.#sessions.size === 0 && !this.#closed) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#closed) return null;
    const taken = this.#sessions;
    this.#sessions = new Map();
    return taken;
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }
}

async function pump(deps: Deps, writer: SseWriter, changed: ChangedSessions): Promise<void> {
  for (let ids = await changed.take(); ids !== null; ids = await changed.take()) {
    for (const [id, { deleted }] of ids) {
      await writer.drained();
      if (writer.closed) return;
      const record = deleted ? null : await deps.ledger.getSession(id);
      const frame: ListFrame =
        record === null ? { type: "deleted", id } : { type: "summary", summary: summaryOf(deps, record) };
      writer.frame(frame.type, frame);
    }
    await sleep(INTERVAL_MS);
  }
}
