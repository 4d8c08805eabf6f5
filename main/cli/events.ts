/** `longhaul events`: the stored events of a session, one per line. */
import { readSettings, UsageError } from "../config.ts";
import type { StoredEvent } from "../contract/events.ts";
import { isId } from "../contract/ids.ts";
import { clip, inputLine, styleFor, textOf } from "./account/words.ts";
import { LocalClient } from "./client.ts";
import { type Command, ENGINE_OPTIONS, EXIT } from "./command.ts";
import { openEngine } from "./engine/open_engine.ts";

export const events: Command = {
  name: "events",
  usage: "SESSION [--follow] [--after SEQ] [--json] [--data-dir DIR]",
  summary: "Print a session's events, one per line",
  details: [
    "With --json each line is the stored event as it is; a body over 64 KiB stays a reference (longhaul_blob).",
    "Uses the engine that runs for this data directory, or one of its own for the duration.",
  ],
  options: {
    ...ENGINE_OPTIONS,
    follow: { type: "boolean", help: "go on with new events until Ctrl+C" },
    after: { type: "string", value: "SEQ", help: "only events after this position" },
    json: { type: "boolean", help: "one JSON object per line" },
    verbose: { type: "boolean", help: "print the engine's log to stderr" },
  },
  positionals: { min: 1, max: 1 },
  run: async (context, args) => {
    const { terminal } = context;
    const settings = readSettings({ "data-dir": args.text("data-dir"), sandbox: args.text("sandbox") }, context.env);
    const id = args.positionals[0] ?? "";
    if (!isId("session", id)) throw new UsageError(`"${clip(id, 60)}" is not a session id: they begin with sesn_.`);
    const after = position(args.text("after"));
    const stop = new AbortController();
    const leave = (): void => stop.abort();
    for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(name, leave);
    const engine = await openEngine({ context, settings, demo: true, verbose: args.flag("verbose") === true });
    try {
      const client = new LocalClient(engine.facts);
      const style = styleFor(terminal.color);
      for await (const frame of client.timeline(id, after, stop.signal)) {
        if (frame.type === "stored") {
          const { stored } = frame;
          terminal.out(
            args.flag("json") === true ? `${JSON.stringify(stored)}\n` : `${eventLine(stored, style.clock)}\n`,
          );
        }
        if (frame.type === "caught_up" && args.flag("follow") !== true) break;
      }
      return EXIT.done;
    } finally {
      await engine.close();
      for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(name, leave);
    }
  },
};

function position(text: string | undefined): number {
  if (text === undefined) return 0;
  const value = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw new UsageError(`--after ${text}: give the position of an event, a whole number from 0.`);
}

/** Position, time, type and the value that tells most, on one line. */
export function eventLine({ seq, created_at, event }: StoredEvent, clock: (iso: string) => string): string {
  const head = `${String(seq).padStart(6)}  ${clock(created_at)}  ${event.type.padEnd(34)}`;
  return `${head} ${telling(event)}`.trimEnd();
}

function telling(event: StoredEvent["event"]): string {
  const fields = event as unknown as Record<string, unknown>;
  if ("content" in fields && Array.isArray(fields.content)) return clip(textOf(fields.content), 100);
  if ("input" in fields) return `${String(fields.name)} ${inputLine(fields.input, 100)}`.trim();
  const { id: _id, type: _type, processed_at: _processed, session: _session, ...rest } = fields;
  const json = JSON.stringify(rest);
  return json === "{}" ? "" : clip(json, 100);
}
