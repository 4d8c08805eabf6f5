/**
 * The view-model of a session: a fold from stored events to turns and rows. It is a function of the events alone: the
 * same events give the same rows in whatever batches they arrive, any prefix or suffix of a log is fine, and events of
 * unknown types are kept and skipped. The state is changed in place, because a session may have a hundred thousand
 * events; rows and turns themselves are replaced, so that a view can compare them by identity.
 */
import type { StoredEvent, Usage } from "../../main/contract/events.ts";
import { foldEvent, type SessionFold } from "../../main/contract/fold.ts";
import { millis } from "../format/times.ts";
import type { Gap, Lane, Row, Turn } from "./row.ts";

export interface Timeline {
  /** Every event received, by position: `events[i].seq === firstSeq + i`. */
  events: StoredEvent[];
  /** State of the session after the last event; null for a slice that does not begin at the first event. */
  fold: SessionFold | null;
  rows: Map<string, Row>;
  turns: Turn[];
  /** Row ids directly under a turn (by its id) or under a row. */
  children: Map<string, string[]>;
  /** Messages that have arrived and are not yet consumed. */
  queued: string[];
  /** Rows that came between turns and belong to the next one. */
  held: string[];
  /** Event id → id of the row that shows it. */
  rowOf: Map<string, string>;
  gaps: Gap[];
  lastSeq: number;
  lastAt: number;
  /** Grows with every change. */
  revision: number;
  /** Events of types that this version does not know. */
  skipped: number;
  /** Ids of the newest rows that later events add to. */
  latest: {
    /** The newest request of any thread, and of each. */
    request: string | null;
    requests: Map<string, string>;
    lease: string | null;
    sandbox: string | null;
    retry: string | null;
    /** Decision and host → the row of the last connections that were decided so. */
    egress: Map<string, string>;
    /** Credential, host and decision → the row of the last uses that were decided so. */
    credentials: Map<string, string>;
  };
}

export const NO_USAGE: Usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
};

export function emptyTimeline(): Timeline {
  return {
    events: [],
    fold: null,
    rows: new Map(),
    turns: [],
    children: new Map(),
    queued: [],
    held: [],
    rowOf: new Map(),
    gaps: [],
    lastSeq: 0,
    lastAt: 0,
    revision: 0,
    skipped: 0,
    latest: {
      request: null,
      requests: new Map(),
      lease: null,
      sandbox: null,
      retry: null,
      egress: new Map(),
      credentials: new Map(),
    },
  };
}

/** The part of a row that every kind begins with. */
export function rowBase(timeline: Timeline, stored: StoredEvent, lane: Lane, what: string) {
  const at = timeOf(timeline, stored);
  const who = timeline.fold?.threads.find(({ id }) => id === stored.thread_id)?.name ?? null;
  const place = { turn: -1, parent: null, seqs: [stored.seq] };
  return { id: stored.event.id, seq: stored.seq, thread: stored.thread_id, who, at, end: at, lane, ...place, what };
}

/** The newest request of the thread that an event belongs to. */
export function requestOf(timeline: Timeline, { thread_id }: StoredEvent): string | null {
  return timeline.latest.requests.get(thread_id) ?? null;
}

/** Records the event itself; false when it was seen before. */
export function recordEvent(timeline: Timeline, stored: StoredEvent): boolean {
  if (stored.seq <= timeline.lastSeq) return false;
  timeline.events.push(stored);
  timeline.fold = foldEvent(timeline.fold, stored);
  timeline.lastSeq = stored.seq;
  timeline.revision += 1;
  return true;
}

/** The event at a position, if it was received. */
export function eventAt(timeline: Timeline, seq: number): StoredEvent | undefined {
  const first = timeline.events[0];
  const stored = first === undefined ? undefined : timeline.events[seq - first.seq];
  // A log with a hole in it is a bug elsewhere; showing the wrong event would hide it.
  return stored?.seq === seq ? stored : timeline.events.find((candidate) => candidate.seq === seq);
}

export function timeOf(timeline: Timeline, stored: StoredEvent): number {
  return millis(stored.created_at, timeline.lastAt);
}

/** The turn that things belong to now, if it has not ended. */
export function openTurn(timeline: Timeline): Turn | null {
  const turn = timeline.turns.at(-1);
  return turn !== undefined && turn.end === null ? turn : null;
}

/** Begins a turn; rows held back since the last one move into it after `first`. */
export function beginTurn(timeline: Timeline, at: number, seq: number, first: readonly string[]): Turn {
  const last = timeline.turns.at(-1);
  if (last !== undefined && last.end === null) replaceTurn(timeline, { ...last, end: at, state: endState(last) });
  const number = last === undefined ? (first.length > 0 ? 1 : 0) : last.number + 1;
  const turn: Turn = {
    id: `turn-${number}`,
    number,
    seq,
    at,
    end: null,
    state: "open",
    interrupted: false,
    requests: 0,
    tools: 0,
    failures: 0,
    usage: NO_USAGE,
    activeMs: 0,
    runningSince: at,
  };
  const index = timeline.turns.push(turn) - 1;
  const ids = [...first, ...timeline.held];
  timeline.held = [];
  timeline.children.set(turn.id, ids);
  for (const id of ids) updateRow(timeline, id, { turn: index });
  return turn;
}

const UNDER_WAY: ReadonlySet<Turn["state"]> = new Set(["open", "waiting", "worker", "program"]);

function endState(turn: Turn): Turn["state"] {
  return UNDER_WAY.has(turn.state) ? "done" : turn.state;
}

/** The open turn; a turn that had ended goes on when work on it is resumed. */
export function resumeTurn(timeline: Timeline, at: number, seq: number): Turn {
  const last = timeline.turns.at(-1);
  if (last === undefined) return beginTurn(timeline, at, seq, []);
  if (last.end === null && last.state === "open" && timeline.held.length === 0) return last;
  const turn: Turn = { ...last, end: null, state: "open", runningSince: last.runningSince ?? at };
  replaceTurn(timeline, turn);
  const index = timeline.turns.length - 1;
  for (const id of timeline.held) updateRow(timeline, id, { turn: index });
  childrenOf(timeline, turn.id).push(...timeline.held);
  timeline.held = [];
  return turn;
}

export function replaceTurn(timeline: Timeline, turn: Turn): void {
  const index = timeline.turns.findLastIndex((candidate) => candidate.id === turn.id);
  if (index !== -1) timeline.turns[index] = turn;
}

/** Adds tokens to a turn's totals. */
export function addUsage(timeline: Timeline, index: number, usage: Usage | undefined): void {
  const turn = timeline.turns[index];
  if (turn === undefined) return;
  const sum = { ...NO_USAGE };
  for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] = turn.usage[key] + (usage?.[key] ?? 0);
  timeline.turns[index] = { ...turn, usage: sum };
}

export function childrenOf(timeline: Timeline, parent: string): string[] {
  const ids = timeline.children.get(parent) ?? [];
  timeline.children.set(parent, ids);
  return ids;
}

/** Adds a row under `parent`, or in the last turn, or holds it for the next turn (`place: "held"`). */
export function addRow(timeline: Timeline, row: Row, place: "turn" | "held" | "queued" = "turn"): void {
  const turn = timeline.turns.length - 1;
  for (const seq of row.seqs) claim(timeline, seq, row.id);
  if (place !== "turn") {
    timeline.rows.set(row.id, row);
    timeline[place].push(row.id);
    return;
  }
  const parent = row.parent === null ? null : (timeline.rows.get(row.parent) ?? null);
  const index = parent === null ? turn : parent.turn;
  const owner = timeline.turns[index];
  if (owner === undefined) {
    beginTurn(timeline, row.at, row.seq, []);
    addRow(timeline, row);
    return;
  }
  timeline.rows.set(row.id, { ...row, turn: index, parent: parent?.id ?? null });
  childrenOf(timeline, parent?.id ?? owner.id).push(row.id);
  // A new identity tells the list that this turn has another shape now.
  timeline.turns[index] = { ...owner };
}

type Patch = Partial<Omit<Row, "id" | "kind">> & Record<string, unknown>;

/** Replaces a row by a changed copy; `stored` becomes one of the events it is made of. */
export function updateRow(timeline: Timeline, id: string, patch: Patch, stored?: StoredEvent): void {
  const row = timeline.rows.get(id);
  if (row === undefined) return;
  const seqs = stored === undefined ? row.seqs : [...row.seqs, stored.seq];
  timeline.rows.set(id, { ...row, ...patch, seqs } as Row);
  if (stored !== undefined) timeline.rowOf.set(stored.event.id, id);
}

function claim(timeline: Timeline, seq: number, row: string): void {
  const stored = eventAt(timeline, seq);
  if (stored !== undefined) timeline.rowOf.set(stored.event.id, row);
}

/** The row of a kind by id, or undefined. */
export function rowOfKind<K extends Row["kind"]>(
  timeline: Timeline,
  id: string | null,
  kind: K,
): Extract<Row, { kind: K }> | undefined {
  const row = id === null ? undefined : timeline.rows.get(id);
  return row?.kind === kind ? (row as Extract<Row, { kind: K }>) : undefined;
}
