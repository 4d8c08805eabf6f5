/** The sandbox: provisioning with its steps, readiness, loss, checkpoints. */
import type { LonghaulEventOf, StoredEvent } from "../../../main/contract/events.ts";
import { bytes } from "../../format/numbers.ts";
import { addNotice } from "../on_fact.ts";
import type { SandboxRow } from "../row.ts";
import { addRow, rowBase, rowOfKind, type Timeline, timeOf, updateRow } from "../timeline.ts";
import { cutOffProvisioning, requestNow } from "./cut_off.ts";
import { readyText, sandboxName } from "./words.ts";

function provisioningText(timeline: Timeline, provider: string, cause: SandboxRow["cause"]): string {
  const name = sandboxName(provider);
  if (cause === "replaced") return `Replacing the ${name}`;
  if (cause === "resources_changed") return `Bringing changed resources into the ${name}`;
  // Its sandbox may be alive, stopped or gone: what was found is told when it is ready.
  const before = rowOfKind(timeline, timeline.latest.sandbox, "sandbox");
  return before?.state === "ready" ? `Looking for the session's ${name}` : `Making the ${name}`;
}

export function onProvisioning(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.sandbox_provisioning">,
  stored: StoredEvent,
): void {
  cutOffProvisioning(timeline, timeOf(timeline, stored));
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", provisioningText(timeline, event.provider, event.cause)),
    end: null,
    parent: requestNow(timeline, stored),
    kind: "sandbox",
    provider: event.provider,
    cause: event.cause,
    state: "provisioning",
    how: null,
    notice: null,
    reason: null,
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
  // Events of older versions say only whether it was adopted.
  const how = event.how ?? (event.adopted ? "adopted" : "created");
  const what = readyText(event.provider, how, row?.cause === "replaced" && row.state !== "ready");
  const at = timeOf(timeline, stored);
  const ready = { state: "ready" as const, end: at, how, notice: event.notice ?? null, what };
  // A step may fail and the sandbox be ready all the same, for example without its way out.
  if (row?.state === "provisioning" || (row?.state === "failed" && row.reason === null)) {
    updateRow(timeline, row.id, { ...ready, provider: event.provider }, stored);
    return;
  }
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", what),
    at: at - event.duration_ms,
    parent: requestNow(timeline, stored),
    kind: "sandbox",
    provider: event.provider,
    cause: "first_tool_call",
    reason: null,
    steps: [],
    ...ready,
  });
  timeline.latest.sandbox = stored.event.id;
}

export function onSandboxLost(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.sandbox_lost">,
  stored: StoredEvent,
): void {
  const row = rowOfKind(timeline, timeline.latest.sandbox, "sandbox");
  // One that could not be made is not one that was lost: its own row tells why.
  if (row !== undefined && row.reason === null && (row.state === "provisioning" || row.state === "failed")) {
    const failed = { state: "failed", reason: event.reason, end: row.end ?? timeOf(timeline, stored) };
    const what = row.state === "failed" ? row.what : `Could not get the ${sandboxName(event.provider)}`;
    updateRow(timeline, row.id, { ...failed, what }, stored);
    return;
  }
  addRow(timeline, {
    ...rowBase(timeline, stored, "sandbox", `The ${sandboxName(event.provider)} is gone: ${event.reason}`),
    parent: requestNow(timeline, stored),
    kind: "notice",
    code: "sandbox_lost",
    tone: "bad",
    detail: "",
    about: null,
  });
}

export function onCheckpoint(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.sandbox_checkpoint">,
  stored: StoredEvent,
): void {
  const end = timeOf(timeline, stored);
  const span = { lane: "sandbox" as const, at: end - event.duration_ms, end, code: "checkpoint" as const };
  if (event.error === null && event.checkpoint !== null) {
    const detail = event.size_bytes > 0 ? bytes(event.size_bytes) : "";
    const what = "Checkpoint of the sandbox's files";
    addNotice(timeline, stored, { ...span, tone: "quiet", what, detail });
    return;
  }
  const what = "No checkpoint could be taken: if this sandbox is removed, files since the last one are lost";
  addNotice(timeline, stored, { ...span, tone: "note", what, detail: event.error ?? "" });
}
