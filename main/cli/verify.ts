/** `longhaul verify`: walks the hash chain of one session or of all, without an engine. */
import { readSettings } from "../config.ts";
import { plural } from "./account/words.ts";
import { type Command, DATA_DIR_OPTION, EXIT } from "./command.ts";

export interface VerifiedSession {
  session_id: string;
  events: number;
  /** First bad position; null when the chain is whole. */
  broken_at: number | null;
  reason: string | null;
}

/**
 * Opens the ledger of a data directory read-only and walks the chain of one session, or of all.
 * Rejects with a text for people when there is no ledger, it cannot be read, or the session is not in it.
 */
export type VerifyLedger = (dataDir: string, sessionId?: string) => Promise<VerifiedSession[]>;

export const verify: Command = {
  name: "verify",
  usage: "[SESSION | --all] [--data-dir DIR] [--json]",
  summary: "Check that no recorded event was lost or changed",
  details: ["Walks the hash chain of the ledger. Works with and without a running engine, and changes nothing."],
  options: {
    ...DATA_DIR_OPTION,
    all: { type: "boolean", help: "every session (the default)" },
    json: { type: "boolean", help: "one JSON line per session" },
  },
  positionals: { min: 0, max: 1 },
  run: async ({ terminal, env, verifyLedger }, args) => {
    const { data_dir } = readSettings({ "data-dir": args.text("data-dir") }, env);
    const sessions = await verifyLedger(data_dir, args.flag("all") === true ? undefined : args.positionals[0]);
    const broken = sessions.filter((session) => session.broken_at !== null);
    for (const session of sessions) {
      terminal.out(args.flag("json") === true ? `${JSON.stringify(session)}\n` : `${line(session)}\n`);
    }
    if (args.flag("json") !== true) terminal.out(`${total(sessions, broken.length)}\n`);
    return broken.length === 0 ? EXIT.done : EXIT.failed;
  },
};

function line({ session_id, events, broken_at, reason }: VerifiedSession): string {
  if (broken_at === null) return `whole   ${session_id}  ${events} events`;
  return `BROKEN  ${session_id}  at event ${broken_at} of ${events}: ${reason ?? "the hash does not match"}`;
}

function total(sessions: readonly VerifiedSession[], broken: number): string {
  const events = sessions.reduce((sum, session) => sum + session.events, 0);
  if (broken === 0) return `${plural(sessions.length, "session")}, ${plural(events, "event")}: every chain is whole.`;
  return (
    `${broken} of ${sessions.length} sessions are broken. Events before the named position are as they were written. ` +
    "Copy the data directory before anything else, and restore the ledger from its newest backup beside it."
  );
}
