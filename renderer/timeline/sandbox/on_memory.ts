/** What passes between a mounted memory store and its folder in the sandbox. */
import type { LonghaulEventOf, StoredEvent } from "../../../main/contract/events.ts";
import { plural } from "../../format/numbers.ts";
import { addNotice } from "../on_fact.ts";
import type { Timeline } from "../timeline.ts";
import { requestNow } from "./cut_off.ts";

export function onMemorySynced(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.memory_synced">,
  stored: StoredEvent,
): void {
  const { written, deleted, updated, conflicts, error, mount_path } = event;
  const done = [
    written > 0 ? `${plural(written, "memory", "memories")} saved` : "",
    deleted > 0 ? `${deleted} deleted` : "",
    updated > 0 ? `${plural(updated, "file")} brought in` : "",
    conflicts > 0 ? `${plural(conflicts, "conflict")}: both versions were kept` : "",
  ].filter((part) => part !== "");
  addNotice(timeline, stored, {
    code: "memory",
    lane: "sandbox",
    parent: requestNow(timeline, stored),
    tone: error !== null ? "bad" : conflicts > 0 ? "note" : "quiet",
    what: error === null ? `Memory at ${mount_path}: ${done.join(", ")}` : `Memory at ${mount_path} could not be saved`,
    detail: error ?? "",
  });
}
