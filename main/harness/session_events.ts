/** The tool with which the model reads its own session back by position, after compaction took it out of the context. */
import type { Tool } from "@anthropic-ai/sdk/resources/messages/messages";
import { isContractEvent, type StoredEvent } from "../contract/events.ts";
import type { Ledger } from "../session/ledger.ts";

const MAX_EVENTS = 100;
const MAX_CHARS = 60_000;
const MAX_EVENT_CHARS = 8_000;

export const sessionEventsTool: Tool = {
  name: "session_events",
  description:
    "Reads back the complete record of this session, including everything that was summarised away. Returns events as " +
    "JSON lines with their position `seq`. Use after_seq / before_seq to page, types to filter (for example " +
    '["user.message"] or ["agent.tool_result"]), order "desc" to read from the end.',
  input_schema: {
    type: "object",
    properties: {
      after_seq: { type: "integer", description: "Only events after this position." },
      before_seq: { type: "integer", description: "Only events before this position." },
      types: { type: "array", items: { type: "string" }, description: "Only events of these types." },
      order: { type: "string", enum: ["asc", "desc"] },
      limit: { type: "integer", description: `At most this many events (1–${MAX_EVENTS}, default 20).` },
    },
  },
};

/** Runs the tool. Bad input is read leniently: a model that passes a string for a number still gets its answer. */
export async function readSessionEvents(
  ledger: Ledger,
  sessionId: string,
  threadId: string,
  input: unknown,
): Promise<string> {
  const wish = typeof input === "object" && input !== null ? (input as Record<string, unknown>) : {};
  const after = wholeNumber(wish["after_seq"]);
  const before = wholeNumber(wish["before_seq"]);
  const types = Array.isArray(wish["types"]) ? wish["types"].filter((type) => typeof type === "string") : [];
  const limit = Math.min(MAX_EVENTS, Math.max(1, wholeNumber(wish["limit"]) ?? 20));
  const lines: string[] = [];
  let chars = 0;
  const range = {
    ...(after === undefined ? {} : { after_seq: after }),
    ...(before === undefined ? {} : { before_seq: before }),
    ...(types.length === 0 ? {} : { types }),
    thread_id: threadId,
    order: wish["order"] === "desc" ? ("desc" as const) : ("asc" as const),
  };
  for await (const stored of ledger.getEvents(sessionId, range)) {
    if (!isContractEvent(stored.event)) continue;
    const line = describe(stored);
    if (lines.length === limit || chars + line.length > MAX_CHARS) {
      lines.push(`[more events: continue with ${range.order === "asc" ? "after_seq" : "before_seq"} as shown last]`);
      break;
    }
    lines.push(line);
    chars += line.length;
  }
  return lines.length === 0 ? "no events match" : lines.join("\n");
}

function describe(stored: StoredEvent): string {
  const json = JSON.stringify({ seq: stored.seq, at: stored.created_at, ...stored.event });
  return json.length <= MAX_EVENT_CHARS ? json : `${json.slice(0, MAX_EVENT_CHARS).toWellFormed()}… [cut]`;
}

function wholeNumber(value: unknown): number | undefined {
  const number = typeof value === "string" ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) ? number : undefined;
}
