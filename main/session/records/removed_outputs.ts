/** Outputs of sessions whose stored files somebody deleted: they are not stored again before they change in the sandbox. */
import type { FileRecord } from "../catalog.ts";
import { RecordTable } from "./record_table.ts";
import { RecordConflict, type Records } from "./records.ts";

/** What tells one state of an output from another. */
interface OutputState {
  path: string;
  modified_at: string;
  /** Bytes. */
  size: number;
}

/** By the id of the file that was deleted. */
interface RemovedOutput extends OutputState {
  id: string;
  created_at: string;
  session_id: string;
}

/** Of one session; older ones are forgotten, and their outputs stored again if they are still there. */
const MAX_REMOVED = 10_000;

export class RemovedOutputs {
  readonly #table: RecordTable<RemovedOutput>;

  constructor(records: Records) {
    this.#table = new RecordTable(records, { kind: "removed_output", scope: (row: RemovedOutput) => row.session_id });
  }

  /** Call it before the file is deleted. Does nothing for a file that is no output. */
  async add({ id, scope, output, size_bytes: size }: FileRecord): Promise<void> {
    if (output === undefined || scope == null) return;
    const { path, modified_at } = output;
    const created_at = new Date().toISOString();
    await this.#table
      .insert({ id, created_at, session_id: scope.id, path, modified_at, size })
      .catch((error: unknown) => {
        // Somebody else deletes it at the same time.
        if (!(error instanceof RecordConflict)) throw error;
      });
  }

  /** Resolves with whether an output is as it was when its file was deleted. */
  async of(sessionId: string): Promise<(output: OutputState) => boolean> {
    const rows = await this.#table.list({ scope: sessionId, limit: MAX_REMOVED });
    const keys = new Set(rows.map(keyOf));
    return (output) => keys.has(keyOf(output));
  }

  /** The session was deleted. */
  async forget(sessionId: string): Promise<void> {
    for (;;) {
      const rows = await this.#table.list({ scope: sessionId, limit: 500 });
      if (rows.length === 0) return;
      await this.#table.records.write(rows.map(({ id }) => this.#table.deletion(id)));
    }
  }
}

function keyOf({ path, modified_at, size }: OutputState): string {
  return JSON.stringify([path, modified_at, size]);
}
