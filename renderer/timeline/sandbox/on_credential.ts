/** Uses of stored credentials: the broker puts them in on the session's behalf, and says so here. */
import type { LonghaulEventOf, StoredEvent } from "../../../main/contract/events.ts";
import { visible } from "../../format/visible.ts";
import { addNotice } from "../on_fact.ts";
import { eventAt, rowOfKind, type Timeline, updateRow } from "../timeline.ts";
import { requestNow } from "./cut_off.ts";

type Use = LonghaulEventOf<"longhaul.credential_used">;

/** Uses that a row stands for: events about the same credential, host and decision in one turn share a row. */
export function usesCount(timeline: Timeline, seqs: readonly number[]): number {
  let count = 0;
  for (const seq of seqs) {
    const event = eventAt(timeline, seq)?.event;
    if (event?.type === "longhaul.credential_used") count += event.count;
  }
  return count;
}

/** What was used, as the person who stored it thinks of it. */
function thing(route: Use["route"]): string {
  if (route === "git") return "the repository token";
  return route === "mcp" ? "the stored sign-in" : "a stored secret";
}

function detailOf(event: Use, count: number): string {
  const why = event.decision === "refused" ? "" : visible(event.reason);
  return [why, count > 1 ? `${count} times` : ""].filter((part) => part !== "").join(" · ");
}

export function onCredentialUsed(timeline: Timeline, event: Use, stored: StoredEvent): void {
  const key = `${event.credential_id} ${event.route} ${event.decision} ${event.host}`;
  const known = rowOfKind(timeline, timeline.latest.credentials.get(key) ?? null, "notice");
  if (known !== undefined && known.turn === timeline.turns.length - 1) {
    const count = usesCount(timeline, [...known.seqs, stored.seq]);
    updateRow(timeline, known.id, { detail: detailOf(event, count) }, stored);
    return;
  }
  const refused = event.decision === "refused";
  const what = refused
    ? `Did not use ${thing(event.route)} at ${visible(event.host)}: ${visible(event.reason)}`
    : `Used ${thing(event.route)} at ${visible(event.host)}`;
  addNotice(timeline, stored, {
    code: "credential",
    lane: "sandbox",
    parent: requestNow(timeline, stored),
    tone: refused ? "bad" : "quiet",
    what,
    detail: detailOf(event, event.count),
  });
  timeline.latest.credentials.set(key, stored.event.id);
}
