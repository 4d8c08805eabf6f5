/** What passes between the sandbox and the world: connections through the egress route, and changes brought back. */
import type { LonghaulEventOf, StoredEvent } from "../../../main/contract/events.ts";
import { plural } from "../../format/numbers.ts";
import { visible } from "../../format/visible.ts";
import { addNotice } from "../on_fact.ts";
import { eventAt, rowOfKind, type Timeline, updateRow } from "../timeline.ts";
import { requestNow } from "./cut_off.ts";

type Egress = LonghaulEventOf<"longhaul.egress">;

/** Connections that a row of egress stands for: events about the same host in one turn share a row. */
export function egressCount(timeline: Timeline, seqs: readonly number[]): number {
  let count = 0;
  for (const seq of seqs) {
    const event = eventAt(timeline, seq)?.event;
    if (event?.type === "longhaul.egress") count += event.count;
  }
  return count;
}

function detailOf(event: Egress, count: number): string {
  const why = event.decision === "denied" ? "" : event.reason;
  return [why, count > 1 ? plural(count, "connection") : ""].filter((part) => part !== "").join(" · ");
}

/** Why is a part of the line: where it is narrow, the detail has no room. Most reasons name the host themselves. */
function refusal(event: Egress, target: string): string {
  return event.reason.includes(event.host) ? `Refused: ${visible(event.reason)}` : `Refused ${target}: ${event.reason}`;
}

export function onEgress(timeline: Timeline, event: Egress, stored: StoredEvent): void {
  const key = `${event.decision} ${event.host}:${event.port}`;
  const known = rowOfKind(timeline, timeline.latest.egress.get(key) ?? null, "notice");
  if (known !== undefined && known.turn === timeline.turns.length - 1) {
    const count = egressCount(timeline, [...known.seqs, stored.seq]);
    updateRow(timeline, known.id, { detail: detailOf(event, count) }, stored);
    return;
  }
  const target = `${visible(event.host)}${event.port === 443 ? "" : `:${event.port}`}`;
  const denied = event.decision === "denied";
  addNotice(timeline, stored, {
    code: "egress",
    lane: "sandbox",
    parent: requestNow(timeline, stored),
    tone: denied ? "bad" : "quiet",
    what: denied ? refusal(event, target) : `Connected to ${target}`,
    detail: detailOf(event, event.count),
  });
  timeline.latest.egress.set(key, stored.event.id);
}

export function onBroughtBack(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.changes_brought_back">,
  stored: StoredEvent,
): void {
  const folder = event.path.split(/[\\/]/).filter(Boolean).at(-1) ?? event.path;
  addNotice(timeline, stored, {
    code: "brought_back",
    lane: "you",
    tone: "note",
    what: `Changes brought back to ${folder} as the branch ${event.branch}`,
    detail: event.commit.slice(0, 10),
  });
}
