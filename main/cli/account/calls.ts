/** Rows of tool calls: what was asked for, and what came of it. */
import type { EventOf } from "../../contract/events.ts";
import { answeredCall, shownToolName } from "../../contract/fold_calls.ts";
import type { AccountState, CallSummary } from "./account.ts";
import { note, row } from "./rows.ts";
import { clip, duration, harmless, inputLine, plural, type Style, textOf } from "./words.ts";

type ToolUse = EventOf<"agent.tool_use"> | EventOf<"agent.mcp_tool_use"> | EventOf<"agent.custom_tool_use">;
type ToolResult =
  | EventOf<"agent.tool_result">
  | EventOf<"agent.mcp_tool_result">
  | EventOf<"user.custom_tool_result">
  | EventOf<"user.tool_result">;

/** Lines of a failed call's output that are shown: the end, where the reason usually stands. */
const SHOWN_LINES = 6;

export function callRow(event: ToolUse, at: string, style: Style): { summary: CallSummary; text: string } {
  const name = shownToolName(event);
  const summary: CallSummary = { name: clip(name, 40), what: inputLine(event.input), input: event.input, at };
  const permission = event.type === "agent.custom_tool_use" ? undefined : event.evaluated_permission;
  const state =
    event.type === "agent.custom_tool_use"
      ? "waits for the program that offers this tool"
      : permission === "ask"
        ? "waits for your approval"
        : permission === "deny"
          ? "denied by the agent's policy"
          : null;
  const text = row(style, at, summary.name, summary.what, { paint: "bold" });
  return { summary, text: state === null ? text : text + note(style, state, "yellow") };
}

export function resultRows(
  event: ToolResult,
  calls: AccountState["calls"],
  at: string,
  style: Style,
): { calls: AccountState["calls"]; answered: AccountState["answered"]; text: string } {
  const id = answeredCall(event);
  const call = calls[id];
  // A second result for a call changes nothing in the session, so it is not told either.
  if (call === undefined) return { calls, answered: null, text: "" };
  const { [id]: _closed, ...open } = calls;
  const answered = { id, name: call.name };
  const failed = event.is_error === true;
  const lines = harmless(textOf(event.content)).replace(/\n+$/, "").split("\n");
  const took = duration(Date.parse(at) - Date.parse(call.at));
  const label = Object.keys(open).length > 0 ? `${call.name} ${clip(call.what, 60)} · ` : `${call.name} · `;
  const head = row(style, at, failed ? "  failed" : "  ok", `${label}${took}${failed ? "" : outcome(lines)}`, {
    paint: failed ? "red" : "green",
  });
  if (!failed) return { calls: open, answered, text: head };
  const shown = lines.slice(-SHOWN_LINES);
  const hidden = lines.length - shown.length;
  const more = hidden > 0 ? note(style, `… ${plural(hidden, "line")} before`) : "";
  return { calls: open, answered, text: head + more + note(style, shown.map((line) => clip(line, 200)).join("\n")) };
}

/** What a success says of itself: a short result in full, of a long one its size and its last line. */
function outcome(lines: readonly string[]): string {
  const last = lines.findLast((line) => line.trim() !== "") ?? "";
  if (last === "") return "";
  return lines.length === 1 ? ` · ${clip(last, 120)}` : ` · ${plural(lines.length, "line")}, last: ${clip(last, 100)}`;
}
