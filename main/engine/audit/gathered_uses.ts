/** Uses of credentials as events of their sessions, gathered so that none can flood one. */
import type { EventDraft, LonghaulEventOf } from "../../contract/events.ts";
import type { AuditEntry } from "../../contract/vaults/grants.ts";

/** Appends to a session. `gone` when there is no such session; rejects when it cannot be written now. */
export type AppendUse = (sessionId: string, event: EventDraft) => Promise<"written" | "gone">;

type Use = Omit<LonghaulEventOf<"longhaul.credential_used">, "id" | "processed_at" | "type" | "count">;

interface Gathered {
  session_id: string;
  use: Use;
  count: number;
  /** Of the entries that make up `count`. */
  numbers: number[];
  /** Milliseconds until this is told; doubles while the same goes on. */
  wait: number;
  timer: NodeJS.Timeout | null;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** Texts come from the broker, hosts from whatever a session asked for. */
const MAX_HOST = 300;
const MAX_REASON = 500;

export class GatheredUses {
  readonly #append: AppendUse;
  readonly #onFailure: (sessionId: string, error: unknown) => void;
  readonly #gathered = new Map<string, Gathered>();
  /** Numbers of entries that are not durable yet. */
  readonly #open = new Set<number>();
  readonly #writing = new Set<Promise<void>>();
  #seen = 0;
  /** Starts of the broker so far: numbers of another one mean nothing. */
  #starts = 0;

  constructor(append: AppendUse, onFailure: (sessionId: string, error: unknown) => void) {
    this.#append = append;
    this.#onFailure = onFailure;
  }

  /** Every entry up to this number is durable in its session, or its session is gone. */
  get written(): number {
    let first = this.#seen + 1;
    for (const number of this.#open) first = Math.min(first, number);
    return first - 1;
  }

  note(entry: AuditEntry): void {
    this.#seen = Math.max(this.#seen, entry.number);
    this.#open.add(entry.number);
    const { session_id, vault_id, credential_id, route, decision } = entry;
    const [host, reason] = [entry.host.slice(0, MAX_HOST), entry.reason.slice(0, MAX_REASON)];
    const key = JSON.stringify([session_id, credential_id, route, host, decision, reason]);
    const known = this.#gathered.get(key) ?? {
      session_id,
      use: { vault_id, credential_id, route, host, decision, reason },
      count: 0,
      numbers: [],
      wait: FIRST_WAIT_MS,
      timer: null,
    };
    known.count += entry.count;
    known.numbers.push(entry.number);
    known.timer ??= this.#later(key, known);
    this.#gathered.set(key, known);
  }

  /** A restarted broker counts from 1 again: numbers of before mean nothing any more, what was gathered is kept. */
  restart(): void {
    this.#starts += 1;
    this.#seen = 0;
    this.#open.clear();
    for (const known of this.#gathered.values()) known.numbers = [];
  }

  /** Tells what was gathered; resolves when it is durable, or could not be made so. */
  async flush(): Promise<void> {
    for (const known of this.#gathered.values()) {
      if (known.timer !== null) clearTimeout(known.timer);
      known.timer = null;
      this.#say(known);
    }
    await Promise.all(this.#writing);
    this.#gathered.clear();
  }

  #later(key: string, known: Gathered): NodeJS.Timeout {
    return setTimeout(() => {
      known.timer = null;
      if (known.count === 0) return void this.#gathered.delete(key);
      this.#say(known);
      known.wait = Math.min(2 * known.wait, LONGEST_WAIT_MS);
      // Remembered for a while: what goes on and on is told less and less often.
      known.timer = this.#later(key, known);
    }, known.wait);
  }

  #say(known: Gathered): void {
    const { session_id, use, count, numbers } = known;
    if (count === 0) return;
    known.count = 0;
    known.numbers = [];
    const starts = this.#starts;
    const writing = this.#append(session_id, { type: "longhaul.credential_used", ...use, count }).then(
      () => {
        if (starts === this.#starts) for (const number of numbers) this.#open.delete(number);
      },
      (error: unknown) => {
        // Tried again with what comes, or at the next time of this one.
        known.count += count;
        if (starts === this.#starts) known.numbers.push(...numbers);
        this.#onFailure(session_id, error);
      },
    );
    this.#writing.add(writing);
    void writing.finally(() => this.#writing.delete(writing));
  }
}
