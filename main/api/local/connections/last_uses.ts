/**
 * When each credential was last used and by whom: what the screen of connections shows without reading sessions. The
 * sessions' own events are the account of every use; this is an index of the newest, which may be a minute old after a crash.
 */
import { isId } from "../../../contract/ids.ts";
import type { LastUse } from "../../../contract/vaults/connections.ts";
import type { CredentialUse } from "../../../contract/vaults/grants.ts";
import { RecordTable } from "../../../session/records/record_table.ts";
import { RecordConflict, type Records } from "../../../session/records/records.ts";

export type StoredUse = Omit<LastUse, "session_title">;

/** By the credential's id. */
interface UseRecord extends StoredUse {
  id: string;
  created_at: string;
}

const INTERVAL_MS = 60_000;

interface Known {
  use: StoredUse;
  /** Milliseconds since the epoch; when it was last written, or tried to be. */
  written: number;
  timer: NodeJS.Timeout | null;
}

export class LastUses {
  readonly #table: RecordTable<UseRecord>;
  readonly #now: () => number;
  readonly #known = new Map<string, Known>();
  #writing: Promise<void> = Promise.resolve();

  /** @param now milliseconds since the epoch */
  constructor(records: Records, now: () => number = Date.now) {
    this.#table = new RecordTable<UseRecord>(records, { kind: "credential_use" });
    this.#now = now;
  }

  /**
   * Takes note of a use or a refusal. Never throws and never waits; written at most once a minute per credential, and at
   * once when the decision is another one than before.
   */
  note({ vault_id, credential_id, session_id, route, host, decision, reason }: CredentialUse): void {
    // The token of an attached repository belongs to its session and is no connection.
    if (!isId("vault", vault_id)) return;
    const now = this.#now();
    const use: StoredUse = { at: new Date(now).toISOString(), session_id, route, host, decision, reason };
    const before = this.#known.get(credential_id);
    const known: Known = before ?? { use, written: Number.NEGATIVE_INFINITY, timer: null };
    const turned = before !== undefined && before.use.decision !== decision;
    known.use = use;
    this.#known.set(credential_id, known);
    const wait = turned ? 0 : Math.max(0, known.written + INTERVAL_MS - now);
    if (wait === 0) this.#write(credential_id, known);
    else if (known.timer === null) {
      known.timer = setTimeout(() => this.#write(credential_id, known), wait);
      // The drain writes what is left.
      known.timer.unref();
    }
  }

  /** The newest use of each credential, by its id. */
  async all(): Promise<Map<string, StoredUse>> {
    const uses = new Map<string, StoredUse>();
    for (const { id, created_at: _, ...use } of await this.#everyRecord()) uses.set(id, use);
    for (const [id, { use }] of this.#known) uses.set(id, use);
    return uses;
  }

  /** Forgets a credential that is gone. */
  async forget(credentialId: string): Promise<void> {
    const timer = this.#known.get(credentialId)?.timer;
    if (timer != null) clearTimeout(timer);
    this.#known.delete(credentialId);
    await this.#writing;
    await this.#table.delete(credentialId);
  }

  /** Writes what has not been written yet. */
  async stop(): Promise<void> {
    for (const [id, known] of this.#known) if (known.timer !== null) this.#write(id, known);
    await this.#writing;
  }

  #write(id: string, known: Known): void {
    if (known.timer !== null) clearTimeout(known.timer);
    known.timer = null;
    known.written = this.#now();
    const { use } = known;
    this.#writing = this.#writing.then(() => this.#put(id, use));
  }

  async #put(id: string, use: StoredUse): Promise<void> {
    try {
      const before = await this.#table.get(id);
      const record = { ...use, id, created_at: before?.value.created_at ?? use.at };
      if (before === null) await this.#table.insert(record);
      else await this.#table.replace(record, before.revision);
    } catch (error) {
      // A full disk costs this index its newest entry, never the use; the next one is written again.
      if (error instanceof RecordConflict) return;
      const known = this.#known.get(id);
      if (known !== undefined) known.written = Number.NEGATIVE_INFINITY;
    }
  }

  async #everyRecord(): Promise<UseRecord[]> {
    const all: UseRecord[] = [];
    for (;;) {
      const last = all.at(-1);
      const after = last === undefined ? {} : { after: { created_at: last.created_at, id: last.id } };
      const page = await this.#table.list({ order: "asc", limit: PAGE, ...after });
      all.push(...page);
      if (page.length < PAGE) return all;
    }
  }
}

const PAGE = 1_000;
