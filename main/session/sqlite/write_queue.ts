/**
 * Group commit (L3): writes that arrive in one turn of the event loop share one transaction and one flush to disk. Each
 * is still atomic by itself: one that fails is undone alone, the others are kept.
 */
import { setImmediate } from "node:timers";
import Database from "better-sqlite3";
import { crashPoint } from "../../crash_points.ts";
import { LedgerWriteError } from "../ledger.ts";

/**
 * What a group's jobs work on. `begin` and `settle` enclose each job, `finish` comes before COMMIT, `committed` after it
 * and must not throw.
 */
export interface Unit {
  begin(): void;
  settle(kept: boolean): void;
  finish(): void;
  committed(): void;
}

interface Job<U> {
  run: (unit: U) => unknown;
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
}

type Outcome = { ok: true; value: unknown } | { ok: false; error: unknown };

export class WriteQueue<U extends Unit> {
  readonly #db: Database.Database;
  readonly #open: () => U;
  readonly #statements: Record<"begin" | "commit" | "mark" | "keep" | "undo", Database.Statement<unknown[]>>;
  #jobs: Job<U>[] = [];
  #closed = false;

  /** @param open makes the unit that the next transaction works on */
  constructor(db: Database.Database, open: () => U) {
    this.#db = db;
    this.#open = open;
    this.#statements = {
      begin: db.prepare("BEGIN IMMEDIATE"),
      commit: db.prepare("COMMIT"),
      mark: db.prepare("SAVEPOINT job"),
      keep: db.prepare("RELEASE job"),
      undo: db.prepare("ROLLBACK TO job"),
    };
  }

  /** Runs `job` in the next transaction. Settles after its COMMIT, when subscribers have been told. */
  run<T>(job: (unit: U) => T): Promise<T> {
    if (this.#closed) return Promise.reject(new LedgerWriteError("The ledger is closed; nothing was written."));
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({ run: job, resolve: resolve as (value: unknown) => void, reject });
      if (this.#jobs.length === 1) setImmediate(() => this.#flush());
    });
  }

  /** Commits what waits and refuses everything later. */
  close(): void {
    this.#closed = true;
    this.#flush();
  }

  #flush(): void {
    const jobs = this.#jobs;
    if (jobs.length === 0) return;
    this.#jobs = [];
    let unit: U;
    let outcomes: Outcome[];
    try {
      unit = this.#open();
      outcomes = this.#commit(unit, jobs);
    } catch (error) {
      if (this.#db.open && this.#db.inTransaction) this.#db.exec("ROLLBACK");
      for (const job of jobs) job.reject(refusal(error, this.#db));
      return;
    }
    crashPoint("append.after_commit");
    unit.committed();
    for (const [index, job] of jobs.entries()) {
      const outcome = outcomes[index];
      if (outcome?.ok) job.resolve(outcome.value);
      else job.reject(outcome?.error);
    }
  }

  #commit(unit: U, jobs: readonly Job<U>[]): Outcome[] {
    const { begin, commit } = this.#statements;
    begin.run();
    const [only] = jobs;
    const outcomes =
      jobs.length === 1 && only !== undefined ? [runAlone(unit, only)] : jobs.map((job) => this.#attempt(unit, job));
    unit.finish();
    crashPoint("append.before_commit");
    commit.run();
    return outcomes;
  }

  #attempt(unit: U, job: Job<U>): Outcome {
    const { mark, keep, undo } = this.#statements;
    mark.run();
    unit.begin();
    try {
      const value = job.run(unit);
      keep.run();
      unit.settle(true);
      return { ok: true, value };
    } catch (error) {
      // A full disk can undo the whole transaction at once; then there is nothing left to keep of the group.
      if (!this.#db.inTransaction) throw error;
      undo.run();
      keep.run();
      unit.settle(false);
      return { ok: false, error: refusal(error, this.#db) };
    }
  }
}

/** A job without company needs no savepoint: when it fails the whole transaction is undone. */
function runAlone<U extends Unit>(unit: U, job: Job<U>): Outcome {
  unit.begin();
  const value = job.run(unit);
  unit.settle(true);
  return { ok: true, value };
}

/** What the caller is told: the storage's failures in the ledger's words, the job's own errors as they are. */
function refusal(error: unknown, db: Database.Database): unknown {
  // better-sqlite3 reports the use of a closed database as a TypeError.
  const isClosed = error instanceof TypeError && !db.open;
  if (!(error instanceof Database.SqliteError) && !isClosed) return error;
  const code = error instanceof Database.SqliteError ? ` (${error.code})` : "";
  return new LedgerWriteError(
    `The ledger ${db.name} could not be written: ${error.message}${code}. Nothing of this append was stored; everything ` +
      "stored before is safe. Make sure that its disk has free space and can be written, then try again.",
    { cause: error },
  );
}
