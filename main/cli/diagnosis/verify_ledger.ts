/** The wiring of `longhaul verify`: a ledger file opened read-only, beside or without the engine that writes it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { UnknownSessionError } from "../../session/ledger.ts";
import { CommandFailed } from "../command.ts";
import type { VerifiedSession } from "../verify.ts";

/** See `VerifyLedger`. The adapters are loaded only here: other commands start faster without them. */
export async function verifyLedgerFile(dataDir: string, sessionId?: string): Promise<VerifiedSession[]> {
  const [{ default: Database }, { verifySession }, { fileBlobStore }, { LEDGER_FILE }] = await Promise.all([
    import("better-sqlite3"),
    import("../../session/sqlite/verify.ts"),
    import("../../session/blobs.ts"),
    import("../../session/sqlite/file/file_check.ts"),
  ]);
  const path = join(dataDir, LEDGER_FILE);
  if (!existsSync(path)) throw new CommandFailed(`There is no ledger in ${dataDir}: nothing was ever recorded there.`);
  const blobs = fileBlobStore(join(dataDir, "blobs"));
  try {
    const database = new Database(path, { readonly: true, fileMustExist: true });
    try {
      const known = database.prepare<[], string>("SELECT id FROM session_keys ORDER BY no").pluck().all();
      const verified: VerifiedSession[] = [];
      for (const session_id of sessionId === undefined ? known : [sessionId]) {
        verified.push({ session_id, ...(await verifySession(database, blobs, session_id)) });
      }
      return verified;
    } finally {
      database.close();
    }
  } catch (error) {
    if (error instanceof UnknownSessionError) throw new CommandFailed(`There is no session ${sessionId} in ${path}.`);
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(
      `${path} cannot be read as a ledger (${reason}). Nothing was changed. Copy the data directory before anything else; ` +
        "verified backups of the ledger, if there are any, are beside it.",
    );
  }
}
