/** Events per minute and lane: what the overview strip of a long timeline draws. */
import type Database from "better-sqlite3";
import type { StoredEvent } from "../../../contract/events.ts";

export type Lane = "you" | "model" | "tools" | "sandbox" | "infrastructure";

export interface MinuteCount {
  /** Start of the minute, ISO 8601. */
  at: string;
  lane: Lane;
  events: number;
}

const LANES: readonly [prefix: string, lane: Lane][] = [
  ["user.", "you"],
  ["system.message", "you"],
  ["agent.message", "model"],
  ["agent.thinking", "model"],
  ["agent.thread_context_compacted", "model"],
  ["span.model_request", "model"],
  ["longhaul.model_", "model"],
  ["longhaul.co", "model"],
  ["agent.", "tools"],
  ["longhaul.tool_", "tools"],
  ["longhaul.call_", "tools"],
  ["longhaul.outcome_", "tools"],
  ["longhaul.sandbox_", "sandbox"],
];

const MINUTE_MS = 60_000;

export function laneOf(type: string): Lane {
  return LANES.find(([prefix]) => type.startsWith(prefix))?.[1] ?? "infrastructure";
}

export class MinuteTable {
  readonly #add: Database.Statement<unknown[]>;
  readonly #list: Database.Statement<unknown[], { minute: number; lane: Lane; events: number }>;
  readonly #remove: Database.Statement<unknown[]>;

  constructor(db: Database.Database) {
    this.#add = db.prepare(
      `INSERT INTO minutes VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET events = events + excluded.events`,
    );
    this.#list = db.prepare("SELECT minute, lane, events FROM minutes WHERE session_no = ? ORDER BY minute, lane");
    this.#remove = db.prepare("DELETE FROM minutes WHERE session_no = ?");
  }

  add(sessionNo: number, events: readonly StoredEvent[]): void {
    const counts = new Map<string, { minute: number; lane: Lane; events: number }>();
    for (const { created_at, event } of events) {
      const minute = Math.floor(Date.parse(created_at) / MINUTE_MS);
      const lane = laneOf(event.type);
      const count = counts.get(`${minute} ${lane}`);
      if (count === undefined) counts.set(`${minute} ${lane}`, { minute, lane, events: 1 });
      else count.events += 1;
    }
    for (const { minute, lane, events } of counts.values()) this.#add.run(sessionNo, minute, lane, events);
  }

  list(sessionNo: number): MinuteCount[] {
    return this.#list.all(sessionNo).map(({ minute, lane, events }) => ({
      at: new Date(minute * MINUTE_MS).toISOString(),
      lane,
      events,
    }));
  }

  remove(sessionNo: number): void {
    this.#remove.run(sessionNo);
  }
}
