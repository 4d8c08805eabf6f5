/** Port: orchestration. Implemented by `orchestrator.ts`; the API and the triggers know only this. */
import type { WakeReason } from "../contract/events.ts";
import type { Activity } from "../contract/local_api.ts";

export interface Orchestrator {
  /**
   * Makes the session go on if there is anything to do. Idempotent and coalesced: calls while the session runs make
   * the runner look once more before it rests. Resolves when the wake is accepted, not when the work is done; never rejects.
   */
  wake(sessionId: string, reason: WakeReason): Promise<void>;
  /** What this process does with the session now. */
  activity(sessionId: string): Activity;
  /** Resolves when the session neither runs nor waits for a slot in this process. */
  settled(sessionId: string): Promise<void>;
  /** Called with a session's id whenever its activity changed. Returns the unsubscriber. */
  onActivity(listener: (sessionId: string) => void): () => void;
}
