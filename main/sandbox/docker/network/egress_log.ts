/** Allows and denials of a sandbox's connections as events of its session, gathered so that none can flood it. */
import type { LonghaulEventOf } from "../../../contract/events.ts";
import type { TellSession } from "../ports.ts";

export type EgressDecision = Pick<LonghaulEventOf<"longhaul.egress">, "host" | "port" | "decision" | "reason">;

interface Gathered {
  seen: EgressDecision;
  count: number;
  /** Milliseconds until this is told; doubles while the same goes on. */
  wait: number;
  timer: NodeJS.Timeout | null;
}

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** Hosts followed one by one; what a program tries beyond that is told together. */
const MAX_HOSTS = 50;
const OTHERS = "(other hosts)";

export class EgressLog {
  readonly #sessionId: string;
  readonly #tell: TellSession;
  readonly #gathered = new Map<string, Gathered>();
  #closed = false;

  constructor(sessionId: string, tell: TellSession) {
    this.#sessionId = sessionId;
    this.#tell = tell;
  }

  note(decision: EgressDecision): void {
    const seen = { ...decision, host: decision.host.slice(0, 253), reason: decision.reason.slice(0, 500) };
    // Decided while the sandbox was let go of: nobody would be there to tell it later.
    if (this.#closed) return this.#say({ seen, count: 1, wait: 0, timer: null });
    let key = `${seen.decision} ${seen.port} ${seen.host}`;
    if (!this.#gathered.has(key) && this.#gathered.size >= MAX_HOSTS) {
      key = `${seen.decision} ${OTHERS}`;
      seen.host = OTHERS;
    }
    const known = this.#gathered.get(key) ?? { seen, count: 0, wait: FIRST_WAIT_MS, timer: null };
    known.seen = seen;
    known.count += 1;
    known.timer ??= this.#later(key, known);
    this.#gathered.set(key, known);
  }

  /** Gathers again. */
  open(): void {
    this.#closed = false;
  }

  /** Tells what was gathered, and from now on each decision at once. Idempotent. */
  close(): void {
    this.#closed = true;
    this.flush();
  }

  /** Tells what was gathered. */
  flush(): void {
    for (const known of this.#gathered.values()) {
      if (known.timer !== null) clearTimeout(known.timer);
      this.#say(known);
    }
    this.#gathered.clear();
  }

  #later(key: string, known: Gathered): NodeJS.Timeout {
    const timer = setTimeout(() => {
      known.timer = null;
      if (known.count === 0) return void this.#gathered.delete(key);
      this.#say(known);
      known.wait = Math.min(2 * known.wait, LONGEST_WAIT_MS);
      // Remembered for a while: a program that tries again and again is told less and less often.
      known.timer = this.#later(key, known);
    }, known.wait);
    return timer;
  }

  #say(known: Gathered): void {
    if (known.count === 0) return;
    this.#tell(this.#sessionId, { type: "longhaul.egress", ...known.seen, count: known.count });
    known.count = 0;
  }
}
