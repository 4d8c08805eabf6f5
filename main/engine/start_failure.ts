/** Why the engine could not start, in words: what happened, what is safe, what to do next. */
import type { ChildFailed, EngineBoot } from "../contract/process.ts";
import { DataDirLocked } from "../session/data_dir_lock.ts";
import { LedgerUnreadable } from "../session/sqlite/open.ts";

const UNWRITABLE = new Set(["EACCES", "EPERM", "EROFS", "ENOTDIR", "ENOENT", "ENOSPC", "EEXIST"]);

export function describeStartFailure(error: unknown, boot: EngineBoot): Omit<ChildFailed, "type"> {
  if (error instanceof DataDirLocked) return { code: "data_dir_locked", message: error.message };
  if (error instanceof LedgerUnreadable) return { code: "ledger_unreadable", message: error.message };
  const code = (error as NodeJS.ErrnoException).code ?? "";
  if (code === "EADDRINUSE") {
    const message =
      `Port ${boot.port} is in use by another program. Your sessions are safe. ` +
      "Stop that program, or start with --port 0 to take any free port.";
    return { code: "port_in_use", message };
  }
  if (UNWRITABLE.has(code)) {
    const message =
      `The data directory ${boot.data_dir} cannot be written (${code}). Nothing was changed. ` +
      "Give this user write access to it, free some space, or choose another one with --data-dir.";
    return { code: "data_dir_unwritable", message };
  }
  const reason = error instanceof Error ? error.message : String(error);
  return {
    code: "other",
    message: `The engine could not start: ${reason}. Your sessions are safe in ${boot.data_dir}.`,
  };
}
