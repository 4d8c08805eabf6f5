/** Files on their way: attached to the session, taken away, stored from its outputs. */
import type { LonghaulEventOf, StoredEvent } from "../../../main/contract/events.ts";
import { visible } from "../../format/visible.ts";
import { addNotice } from "../on_fact.ts";
import type { Timeline } from "../timeline.ts";

export function onOutputsStored(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.outputs_stored">,
  stored: StoredEvent,
): void {
  const { count } = event;
  // The agent chose these names.
  const files = event.files.map(({ path }) => visible(path));
  const skipped = event.skipped.map(({ path, reason }) => ({ path: visible(path), reason }));
  const outputs = count === 1 ? `the output ${files[0] ?? ""}` : `${count.toLocaleString("en")} outputs`;
  const failed = skipped.map(({ path, reason }) => `${path}: ${reason}`).join(" ");
  const what = count === 0 ? `Could not store ${skipped[0]?.path ?? "outputs"}` : `Stored ${outputs}`;
  const detail = failed === "" ? files.join(", ") : failed;
  addNotice(timeline, stored, { code: "files", lane: "sandbox", tone: failed === "" ? "quiet" : "note", what, detail });
}

export function onResourceAdded(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.resource_added">,
  stored: StoredEvent,
): void {
  const what = `A file was attached at ${event.resource.mount_path ?? ""}`;
  addNotice(timeline, stored, { code: "files", lane: "you", tone: "quiet", what });
}

export function onResourceRemoved(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.resource_removed">,
  stored: StoredEvent,
): void {
  const what = "A resource was taken away from the session";
  addNotice(timeline, stored, { code: "files", lane: "you", tone: "quiet", what, detail: event.resource_id });
}
