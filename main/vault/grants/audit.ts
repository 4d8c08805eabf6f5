/**
 * Uses of credentials until the engine has written them into their sessions. In memory and bounded: what the engine does
 * not fetch for a long time is counted together.
 */
import { randomBytes } from "node:crypto";
import type { AuditAnswer, AuditEntry, CredentialUse } from "../../contract/vaults/grants.ts";
import { Waiters } from "../waiters.ts";

/** A place in the log of one start of the broker; in that of another one it means nothing. */
export interface AuditPosition {
  start: string;
  number: number;
}

const MOST = 5_000;

export class AuditLog {
  readonly #start = randomBytes(8).toString("hex");
  #entries: AuditEntry[] = [];
  #last = 0;
  /** Entries up to this one were handed out: later uses are entries of their own, so that no count is lost. */
  #taken = 0;
  /** Uses that were let go of, because the engine fetched none for so long. */
  #lost = 0;
  readonly #waiters = new Waiters();

  /** Notes one use. Repetitions that the engine has not fetched yet are one entry with a higher count. */
  note(use: CredentialUse): void {
    const same = this.#entries.findLast(
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
      if (this.#entries.length > MOST) this.#lost += this.#entries.shift()?.count ?? 0;
    }
    this.#waiters.wake();
  }

  /**
   * What was noted after `seen`; entries up to `written` are forgotten, because the engine has made them durable. Waits
   * for something to say, at most `waitMs` or until `signal` aborts; then the list is empty.
   */
  async take(seen: AuditPosition, written: AuditPosition, waitMs: number, signal: AbortSignal): Promise<AuditAnswer> {
    const done = this.#numberOf(written);
    this.#entries = this.#entries.filter(({ number }) => number > done);
    const after = this.#numberOf(seen);
    const later = (): AuditEntry[] => this.#entries.filter(({ number }) => number > after);
    await this.#waiters.until(() => later().length > 0, waitMs, signal);
    this.#taken = this.#last;
    const lost = this.#lost;
    this.#lost = 0;
    return { start: this.#start, data: later(), lost };
  }

  /** Nothing of another start's was seen or written here. */
  #numberOf({ start, number }: AuditPosition): number {
    return start === this.#start ? number : 0;
  }
}
