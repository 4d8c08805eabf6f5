/** The table of leases: one row per session, its token grows for ever (L4). */
import type Database from "better-sqlite3";
import type { LeaseRow } from "../record/lease_rules.ts";

type Columns = Omit<LeaseRow, "released"> & { released: number };

export class LeaseTable {
  readonly #get: Database.Statement<unknown[], Columns>;
  readonly #put: Database.Statement<unknown[]>;
  readonly #extend: Database.Statement<unknown[]>;
  readonly #release: Database.Statement<unknown[]>;

  constructor(db: Database.Database) {
    this.#get = db.prepare("SELECT * FROM leases WHERE session_no = ?");
    this.#put = db.prepare("INSERT OR REPLACE INTO leases VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)");
    this.#extend = db.prepare("UPDATE leases SET expires_at = ? WHERE session_no = ?");
    this.#release = db.prepare("UPDATE leases SET released = 1 WHERE session_no = ?");
  }

  get(sessionNo: number): LeaseRow | null {
    const row = this.#get.get(sessionNo);
    return row === undefined ? null : { ...row, released: row.released === 1 };
  }

  put(sessionNo: number, row: LeaseRow): void {
    const { holder, boot_id, pid, pid_started_at, token, acquired_at, expires_at } = row;
    this.#put.run(sessionNo, holder, boot_id, pid, pid_started_at, token, acquired_at, expires_at);
  }

  extend(sessionNo: number, expiresAt: number): void {
    this.#extend.run(expiresAt, sessionNo);
  }

  release(sessionNo: number): void {
    this.#release.run(sessionNo);
  }
}
