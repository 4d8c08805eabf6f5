/** The sandbox: provisioning with its steps, readiness, loss. */
import type { LonghaulEventOf, StoredEvent } from "../../main/contract/events.ts";
import { addRow, rowBase, rowOfKind, type Timeline, timeOf, updateRow } from "./timeline.ts";

export function onProvisioning(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.sandbox_provisioning">,
  stored: StoredEvent,
): void {
  const request = timeline.latest.request;
  const what =
    event.cause === "replaced" ? `Making a new ${event.provider} sandbox` : `Making the ${event.provider} sandbox`;
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", what),
    end: null,
    parent: request,
    kind: "sandbox",
    provider: event.provider,
    cause: event.cause,
    state: "provisioning",
    adopted: false,
    steps: [],
  });
  timeline.latest.sandbox = stored.event.id;
}

export function onSandboxStep(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.sandbox_step">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, timeline.latest.sandbox, "sandbox");
  if (row === undefined) return;
  const steps = [...row.steps, { step: event.step, durationMs: event.duration_ms, error: event.error }];
  const failed = event.error !== null;
  updateRow(
    timeline,
    row.id,
    failed
      ? { steps, state: "failed", end: timeOf(timeline, stored), what: `${event.step}: ${event.error}` }
      : { steps },
    stored,
  );
}

export function onSandboxReady(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.sandbox_ready">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, timeline.latest.sandbox, "sandbox");
  const what = event.adopted
    ? `Took the ${event.provider} sandbox on again`
    : `${event.provider[0]?.toUpperCase() ?? ""}${event.provider.slice(1)} sandbox ready`;
  const at = timeOf(timeline, stored);
  if (row?.end === null) {
    updateRow(timeline, row.id, { state: "ready", end: at, adopted: event.adopted, what }, stored);
    return;
  }
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", what),
    at: at - event.duration_ms,
    end: at,
    parent: timeline.latest.request,
    kind: "sandbox",
    provider: event.provider,
    cause: "first_tool_call",
    state: "ready",
    adopted: event.adopted,
    steps: [],
  });
  timeline.latest.sandbox = stored.event.id;
}

export function onSandboxLost(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.sandbox_lost">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, timeline.latest.sandbox, "sandbox");
  if (row?.end === null) updateRow(timeline, row.id, { state: "lost", end: timeOf(timeline, stored) });
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", `The ${event.provider} sandbox is gone`),
    kind: "notice",
    code: "sandbox_lost",
    tone: "bad",
    detail: event.reason,
    about: null,
  });
}
