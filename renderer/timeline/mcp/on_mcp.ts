/** What a session's MCP servers offer, and how long the agent waited for them. */
import type { LonghaulEventOf, StoredEvent } from "../../../main/contract/events.ts";
import { duration, plural } from "../../format/numbers.ts";
import { visible } from "../../format/visible.ts";
import { addNotice } from "../on_fact.ts";
import type { Timeline } from "../timeline.ts";

/** Names that one line has room for. */
const NAMED = 12;
/** A wait that nobody notices is not worth a line. */
const SLOW_MS = 2_000;

export function onMcpTools(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.mcp_tools">,
  stored: StoredEvent,
): void {
  const names = event.tools.slice(0, NAMED).map(({ name }) => visible(name));
  if (event.tools.length > NAMED) names.push(`and ${event.tools.length - NAMED} more`);
  const left = event.left_out.map(({ name, reason }) => `${visible(name)} cannot be used: ${visible(reason)}`);
  addNotice(timeline, stored, {
    code: "mcp",
    tone: left.length > 0 ? "note" : "quiet",
    what: `${visible(event.mcp_server_name)} offers ${plural(event.tools.length, "tool")}`,
    detail: [names.join(", "), ...left].filter((part) => part !== "").join(" · "),
  });
}

export function onMcpConnected(
  timeline: Timeline,
  event: LonghaulEventOf<"longhaul.mcp_connected">,
  stored: StoredEvent,
): void {
  const slow = event.servers.filter(({ duration_ms }) => duration_ms >= SLOW_MS);
  if (slow.length === 0) {
    timeline.skipped += 1;
    return;
  }
  const longest = Math.max(...slow.map(({ duration_ms }) => duration_ms));
  const who = slow.map(({ mcp_server_name }) => visible(mcp_server_name)).join(", ");
  addNotice(timeline, stored, { code: "mcp", tone: "note", what: `Waited ${duration(longest)} for ${who}` });
}
