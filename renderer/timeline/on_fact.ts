/** Statuses, errors, leases, and the ways in which running is cut off. */
import type { EventOf, LonghaulEventOf, StoredEvent, WakeReason } from "../../main/contract/events.ts";
import { duration, plural } from "../format/numbers.ts";
import { clock, millis } from "../format/times.ts";
import type { NoticeCode, NoticeRow, NoticeTone, Turn } from "./row.ts";
import { cutOffProvisioning } from "./sandbox/cut_off.ts";
import {
  addRow,
  childrenOf,
  openTurn,
  replaceTurn,
  requestOf,
  rowBase,
  rowOfKind,
  type Timeline,
  timeOf,
  updateRow,
} from "./timeline.ts";

/** Adds a row for a fact that has no row of its own kind. */
export function addNotice(
  timeline: Timeline,
  stored: StoredEvent,
  notice: { code: NoticeCode; tone: NoticeTone; what: string; detail?: string; about?: string | null } & Partial<
    Pick<NoticeRow, "at" | "end" | "lane" | "parent">
  >,
  place: "turn" | "held" = "turn",
): void {
  const base = rowBase(timeline, stored, "infra", notice.what);
  addRow(timeline, { ...base, detail: "", about: null, ...notice, kind: "notice" }, place);
}

const WAKES: Record<WakeReason, string> = {
  client_event: "a new event",
  engine_start: "the engine's start",
  retry: "a planned retry",
  user: "your Resume",
  power: "the machine's return from sleep",
  network: "the network's return",
  clock_jump: "a jump of the clock",
};

export function onLease(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.lease_acquired">,
  stored: StoredEvent,
): void {
  const before = rowOfKind(timeline, timeline.latest.lease, "notice");
  // An open lease at this point was never released: its holder's last sign of life is the event before this one.
  if (before?.end === null) updateRow(timeline, before.id, { end: timeline.lastAt, tone: "bad" });
  const taken = event.taken_over_from === null ? "" : ", taken over from a process that is gone";
  addNotice(
    timeline,
    stored,
    {
      code: "lease",
      tone: "quiet",
      what: `Woken by ${WAKES[event.reason] ?? event.reason}${taken}`,
      detail: `engine ${event.pid}`,
      end: null,
    },
    openTurn(timeline) === null ? "held" : "turn",
  );
  timeline.latest.lease = stored.event.id;
}

export function onLeaseReleased(timeline: Timeline, stored: StoredEvent): void {
  if (timeline.latest.lease === null) return;
  updateRow(timeline, timeline.latest.lease, { end: timeOf(timeline, stored) }, stored);
}

const CAUSES: Record<LonghaulEventOf<"longhaul.cut_off">["cause"], string> = {
  engine_died: "the engine died",
  engine_frozen: "the engine stood still",
  shutdown: "Longhaul was shut down",
};

export function onCutOff(timeline: Timeline, event: LonghaulEventOf<"longhaul.cut_off">, stored: StoredEvent): void {
  const now = timeOf(timeline, stored);
  const from = millis(event.last_event_at, now);
  const to = Math.max(from, millis(event.noticed_at, now));
  // The event names one request; every thread may have had one.
  const requests = [...new Set([...timeline.latest.requests.values(), event.model_request_in_flight])]
    .flatMap((id) => rowOfKind(timeline, id, "request") ?? [])
    .filter(({ state }) => state === "open");
  const parts = [
    requests.length === 0 ? "" : plural(requests.length, "model request"),
    event.calls_in_flight.length === 0 ? "" : plural(event.calls_in_flight.length, "call"),
  ].filter((part) => part !== "");
  addNotice(timeline, stored, {
    code: "cut_off",
    tone: "bad",
    what: `Cut off: ${CAUSES[event.cause] ?? event.cause}`,
    detail: parts.length === 0 ? "nothing was in flight" : `${parts.join(" and ")} in flight`,
    at: from,
    end: to,
  });
  timeline.gaps.push({ kind: "no_engine", from, to, row: stored.event.id });
  tellBeforeLease(timeline, stored.event.id);
  cutOffProvisioning(timeline, from);
  for (const id of event.calls_in_flight) {
    const row = rowOfKind(timeline, id, "tool");
    if (row?.end === null) updateRow(timeline, id, { state: "cut_off" });
  }
  for (const request of requests) {
    updateRow(timeline, request.id, { state: "cut_off", end: from, durationMs: from - request.at });
  }
  const turn = openTurn(timeline);
  if (turn !== null && turn.runningSince !== null) {
    replaceTurn(timeline, { ...stopped(turn, from), runningSince: now });
  }
}

export function onSleep(timeline: Timeline, event: LonghaulEventOf<"longhaul.sleep_gap">, stored: StoredEvent): void {
  const now = timeOf(timeline, stored);
  const from = millis(event.from, now);
  const to = Math.max(from, millis(event.to, now));
  const what = `The machine slept for ${duration(event.seconds * 1000)}`;
  addNotice(timeline, stored, { code: "sleep", tone: "note", what, at: from, end: to });
  timeline.gaps.push({ kind: "sleep", from, to, row: stored.event.id });
  const turn = openTurn(timeline);
  if (turn !== null && turn.runningSince !== null) {
    replaceTurn(timeline, { ...turn, activeMs: turn.activeMs - event.seconds * 1000 });
  }
}

/** The cut came before the lease that noticed it: the list tells them in that order. */
function tellBeforeLease(timeline: Timeline, cut: string): void {
  const turn = timeline.turns.at(-1);
  const ids = turn === undefined ? [] : childrenOf(timeline, turn.id);
  const at = ids.length - 1;
  const lease = timeline.latest.lease;
  if (ids[at] !== cut || lease === null || ids[at - 1] !== lease) return;
  ids[at - 1] = cut;
  ids[at] = lease;
}

function stopped(turn: Turn, at: number): Turn {
  if (turn.runningSince === null) return turn;
  return { ...turn, runningSince: null, activeMs: turn.activeMs + Math.max(0, at - turn.runningSince) };
}

export function onRunning(timeline: Timeline, stored: StoredEvent): void {
  const turn = openTurn(timeline);
  if (turn === null) return;
  const runningSince = turn.runningSince ?? timeOf(timeline, stored);
  replaceTurn(timeline, { ...turn, state: "open", runningSince });
}

const RESTS: Partial<Record<string, { state: Turn["state"]; what: string; detail: string }>> = {
  retries_exhausted: {
    state: "stopped",
    what: "Stopped: the retries are used up",
    detail: "nothing is lost; Resume tries again",
  },
  budget_reached: {
    state: "budget",
    what: "Stopped: the budget is reached",
    detail: "nothing is lost; a higher budget lets it go on",
  },
  refusal: { state: "refused", what: "The model declined to go on", detail: "" },
};

export function onIdle(timeline: Timeline, event: EventOf<"session.status_idle">, stored: StoredEvent): void {
  const at = timeOf(timeline, stored);
  const turn = openTurn(timeline);
  const rest = RESTS[event.stop_reason.type];
  if (rest !== undefined) {
    addNotice(timeline, stored, { code: "stopped", tone: "bad", what: rest.what, detail: rest.detail });
  }
  const last = openTurn(timeline) ?? turn;
  if (last === null) return;
  if (event.stop_reason.type === "requires_action") {
    replaceTurn(timeline, { ...stopped(last, at), state: waitsFor(timeline, event.stop_reason.event_ids) });
    return;
  }
  const state = rest?.state ?? (last.interrupted ? "interrupted" : "done");
  replaceTurn(timeline, { ...stopped(last, at), state, end: at });
}

/** Who can move the turn on: a person before anybody else. */
function waitsFor(timeline: Timeline, calls: readonly string[]): Turn["state"] {
  const rows = calls.map((id) => rowOfKind(timeline, id, "tool"));
  // A call that was cut out of a slice of the log counts as one for a person: nothing that needs them may look done.
  if (rows.some((row) => row === undefined || (row.state === "waiting" && row.callKind !== "custom"))) return "waiting";
  return rows.every((row) => row?.callKind === "custom") ? "program" : "worker";
}

export function onRescheduled(timeline: Timeline, stored: StoredEvent): void {
  const turn = openTurn(timeline);
  if (turn !== null) replaceTurn(timeline, stopped(turn, timeOf(timeline, stored)));
}

export function onTerminated(timeline: Timeline, stored: StoredEvent): void {
  const at = timeOf(timeline, stored);
  const turn = openTurn(timeline);
  if (turn !== null) replaceTurn(timeline, { ...stopped(turn, at), state: "terminated", end: at });
  addNotice(timeline, stored, { code: "terminated", tone: "bad", what: "The session has ended for good" });
}

export function onError(timeline: Timeline, event: EventOf<"session.error">, stored: StoredEvent): void {
  const { error } = event;
  const retrying = error.retry_status.type === "retrying";
  addNotice(timeline, stored, {
    code: error.type === "mcp_authentication_failed_error" ? "sign_in" : "error",
    tone: retrying ? "waiting" : "bad",
    what: error.message,
    detail: error.type.replace(/_error$/, "").replaceAll("_", " "),
    about: requestOf(timeline, stored),
  });
}

export function onRetry(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.retry_scheduled">,
  stored: StoredEvent,
): void {
  const now = timeOf(timeline, stored);
  const at = millis(event.at, now);
  addNotice(timeline, stored, {
    code: "retry",
    tone: "waiting",
    what: event.waits_for_keychain
      ? "Waiting for the keychain; it goes on when that is unlocked"
      : event.waits_for_network
        ? `Waiting for the network; retry ${event.attempt} comes when it is back`
        : `Retry ${event.attempt} at ${clock(at)}`,
    detail: event.error_type.replaceAll("_", " "),
    end: Math.max(now, at),
  });
  timeline.latest.retry = stored.event.id;
}
