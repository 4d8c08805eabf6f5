/** An orchestrator that runs nothing by itself: tests say what runs and look at who was woken. */
import type { WakeReason } from "../../contract/events.ts";
import type { Activity } from "../../contract/local_api.ts";
import type { Orchestrator } from "../../orchestration/port.ts";

export class FakeOrchestrator implements Orchestrator {
  readonly wakes: { sessionId: string; reason: WakeReason }[] = [];
  /** Played for each wake; the session counts as running until it resolves. */
  script: ((sessionId: string) => Promise<void>) | null = null;
  readonly #activity = new Map<string, Exclude<Activity, null>>();
  readonly #listeners = new Set<(sessionId: string) => void>();
  #runs: Promise<void> = Promise.resolve();

  async wake(sessionId: string, reason: WakeReason): Promise<void> {
    this.wakes.push({ sessionId, reason });
    const { script } = this;
    if (script === null) return;
    this.set(sessionId, "running");
    this.#runs = this.#runs.then(() => script(sessionId)).finally(() => this.set(sessionId, null));
  }

  activity(sessionId: string): Activity {
    return this.#activity.get(sessionId) ?? null;
  }

  set(sessionId: string, activity: Activity): void {
    if (activity === null) this.#activity.delete(sessionId);
    else this.#activity.set(sessionId, activity);
    for (const listener of this.#listeners) listener(sessionId);
  }

  settled(): Promise<void> {
    return this.#runs;
  }

  onActivity(listener: (sessionId: string) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listeners(): number {
    return this.#listeners.size;
  }
}
