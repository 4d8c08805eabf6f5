/** The timeline as a flat list of lines for a virtual list: what is collapsed or hidden is left out. */
import type { Lane, Row, Turn } from "./row.ts";
import type { Timeline } from "./timeline.ts";

export type Line =
  | { kind: "turn"; id: string; turn: number; open: boolean }
  | { kind: "row"; id: string; level: 2 | 3; group: boolean; open: boolean }
  | { kind: "queue"; id: "queue"; count: number };

export interface Shape {
  /** Ids of turns and rows whose content is folded away. */
  collapsed: ReadonlySet<string>;
  hiddenLanes: ReadonlySet<Lane>;
}

/** Remembers the lines of turns that did not change, so that a long timeline is not walked for every event. */
export class Flattener {
  #cache = new WeakMap<Turn, Line[]>();
  #shape: Shape | null = null;

  /** Lines from top to bottom. Level 1 is a turn, 2 what stands in it, 3 what a model request did. */
  lines(timeline: Timeline, shape: Shape): Line[] {
    if (this.#shape?.collapsed !== shape.collapsed || this.#shape.hiddenLanes !== shape.hiddenLanes) {
      this.#cache = new WeakMap();
      this.#shape = shape;
    }
    const out: Line[] = [];
    for (const [index, turn] of timeline.turns.entries()) {
      let lines = this.#cache.get(turn);
      if (lines === undefined) {
        lines = turnLines(timeline, turn, index, shape);
        this.#cache.set(turn, lines);
      }
      for (const line of lines) out.push(line);
    }
    for (const id of timeline.held) pushRow(out, timeline, id, 2, shape);
    if (timeline.queued.length > 0) {
      out.push({ kind: "queue", id: "queue", count: timeline.queued.length });
      for (const id of timeline.queued) pushRow(out, timeline, id, 2, shape);
    }
    return out;
  }
}

function turnLines(timeline: Timeline, turn: Turn, index: number, shape: Shape): Line[] {
  const open = !shape.collapsed.has(turn.id);
  // What came before the first turn needs no heading.
  const out: Line[] = turn.number === 0 ? [] : [{ kind: "turn", id: turn.id, turn: index, open }];
  if (!open) return out;
  for (const id of timeline.children.get(turn.id) ?? []) pushRow(out, timeline, id, 2, shape);
  return out;
}

function pushRow(out: Line[], timeline: Timeline, id: string, level: 2 | 3, shape: Shape): void {
  const row = timeline.rows.get(id);
  if (row === undefined) return;
  const children = level === 2 ? (timeline.children.get(id) ?? []) : [];
  const open = !shape.collapsed.has(id);
  if (isShown(row, shape)) out.push({ kind: "row", id, level, group: children.length > 0, open });
  if (open) for (const child of children) pushRow(out, timeline, child, 3, shape);
}

/** A hidden lane hides what is routine in it; what went wrong or waits for a person is always shown. */
function isShown(row: Row, shape: Shape): boolean {
  if (!shape.hiddenLanes.has(row.lane)) return true;
  if (row.kind === "notice") return row.tone !== "quiet" && row.tone !== "note";
  if (row.kind === "tool") return row.state === "waiting" || row.state === "unknown";
  return false;
}
