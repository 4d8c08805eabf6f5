/** Room for requests: so many at a time, of one session and of all, and so many bytes of their bodies. */
import { Refusal } from "../refusal.ts";

export interface McpLimits {
  /** Requests at a time, open event streams included. */
  perSession: number;
  total: number;
  /** Bytes of request bodies that are held for a repetition, of all sessions. */
  heldBytes: number;
}

export interface Place {
  /** Counts bytes that are held until the place is given back. Throws {@link Refusal} when there is no room. */
  hold: (bytes: number) => void;
  /** Idempotent. */
  giveBack: () => void;
}

export class Places {
  readonly #limits: McpLimits;
  readonly #taken = new Map<string, number>();
  #total = 0;
  #held = 0;

  constructor(limits: McpLimits) {
    this.#limits = limits;
  }

  /** Throws {@link Refusal} `limit` when there is none left. */
  take(sessionId: string): Place {
    const taken = this.#taken.get(sessionId) ?? 0;
    if (taken >= this.#limits.perSession) throw full(`This session has ${taken} requests to MCP servers open.`);
    if (this.#total >= this.#limits.total) throw full(`All sessions have ${this.#total} requests to MCP servers open.`);
    this.#taken.set(sessionId, taken + 1);
    this.#total += 1;
    let held = 0;
    let open = true;
    return {
      hold: (bytes) => {
        if (this.#held + bytes > this.#limits.heldBytes) throw full("Requests to MCP servers hold too many bytes.");
        this.#held += bytes;
        held += bytes;
      },
      giveBack: () => {
        if (!open) return;
        open = false;
        this.#held -= held;
        this.#total -= 1;
        const left = (this.#taken.get(sessionId) ?? 1) - 1;
        if (left > 0) this.#taken.set(sessionId, left);
        else this.#taken.delete(sessionId);
      },
    };
  }
}

const full = (text: string): Refusal =>
  new Refusal(429, "rate_limit_error", `${text} Nothing was sent; repeat it when some of them have ended.`, "limit");
