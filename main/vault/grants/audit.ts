/**
 * Uses of credentials until the engine has written them into their sessions. In memory and bounded: what the engine does
 * not fetch for a long time is counted together.
 */
import type { CredentialUse } from "../../contract/vaults/grants.ts";

export interface AuditEntry extends CredentialUse {
  /** Grows with each entry; a restarted broker begins at 1 again. */
  number: number;
  count: number;
}

const MOST = 5_000;

export class AuditLog {
  #entries: AuditEntry[] = [];
  #last = 0;
  /** Entries up to this one were handed out: later uses are entries of their own, so that no count is lost. */
  #taken = 0;
  readonly #waiting = new Set<() => void>();

  /** Notes one use. Repetitions that the engine has not fetched yet are one entry with a higher count. */
  note(use: CredentialUse): void {
    const same = this.#entries.find(
      (entry) =>
        entry.number > this.#taken &&
        entry.session_id === use.session_id &&
        entry.credential_id === use.credential_id &&
        entry.route === use.route &&
        entry.host === use.host &&
        entry.decision === use.decision &&
        entry.reason === use.reason,
    );
    if (same !== undefined) same.count += 1;
    else {
      this.#last += 1;
      this.#entries.push({ ...use, number: this.#last, count: 1 });
      if (this.#entries.length > MOST) this.#entries.shift();
    }
    for (const wake of this.#waiting) wake();
  }

  /**
   * What was noted, after the entries up to `written` are forgotten: the engine has them. Waits for something to say, at
   * most `waitMs` or until `signal` aborts; then the list is empty.
   */
  async take(written: number, waitMs: number, signal: AbortSignal): Promise<AuditEntry[]> {
    this.#entries = this.#entries.filter(({ number }) => number > written);
    if (this.#entries.length === 0 && waitMs > 0 && !signal.aborted) await this.#something(waitMs, signal);
    this.#taken = this.#last;
    return [...this.#entries];
  }

  #something(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, waitMs);
      this.#waiting.add(done);
      signal.addEventListener("abort", done, { once: true });
    });
  }
}
