/** What of an event can be searched, and how a query is understood; both sides must cut text into words alike. */
import type { LedgerEvent } from "../../contract/events.ts";
import { describeInput } from "../../contract/fold_calls.ts";

const MAX_TOOL_TEXT = 4096;
const MAX_MESSAGE_TEXT = 64 * 1024;

/** Text of messages, outcomes, tool inputs, results and errors; empty for events that hold none. Never throws (L10). */
export function searchText(event: LedgerEvent): string {
  switch (event.type) {
    case "user.message":
    case "agent.message":
    case "system.message":
      return blocksText(event.content, MAX_MESSAGE_TEXT);
    case "user.define_outcome":
      return blocksText(event.description, MAX_MESSAGE_TEXT);
    case "agent.tool_use":
    case "agent.mcp_tool_use":
    case "agent.custom_tool_use":
      return `${event.name} ${describeInput(event.input)}\n${JSON.stringify(event.input)}`.slice(0, MAX_TOOL_TEXT);
    case "agent.tool_result":
    case "agent.mcp_tool_result":
    case "user.tool_result":
    case "user.custom_tool_result":
      return blocksText(event.content, MAX_TOOL_TEXT);
    case "session.error":
      return event.error.message;
    default:
      return "";
  }
}

function blocksText(content: unknown, max: number): string {
  if (!Array.isArray(content)) return typeof content === "string" ? content.slice(0, max) : "";
  let text = "";
  for (const block of content as unknown[]) {
    if (text.length >= max) break;
    if (typeof block === "object" && block !== null && "text" in block && typeof block.text === "string") {
      text += text === "" ? block.text : `\n${block.text}`;
    }
  }
  return text.slice(0, max);
}

/** Chinese, Japanese and Korean are written without spaces: each sign becomes a word, a query for several a phrase. */
const UNSPACED = /[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]/g;

/** The text as it is given to the tokenizer. */
export function spaced(text: string): string {
  return text.replace(UNSPACED, " $& ");
}

/** Words of a query as typed, at most 16: enough for any search, and a bound on the work of one. */
export function queryTerms(text: string): string[] {
  const terms = spaced(text)
    .split(/\s+/u)
    .filter((term) => /[\p{L}\p{N}]/u.test(term));
  return terms.slice(0, 16);
}

const BEFORE = 40;
const SNIPPET = 160;

/** One line of `text` around the first of the query's words. */
export function snippetOf(text: string, terms: readonly string[]): string {
  const lower = text.toLowerCase();
  const found = terms.map((term) => lower.indexOf(term.toLowerCase())).filter((at) => at >= 0);
  const from = Math.max(0, (found.length === 0 ? 0 : Math.min(...found)) - BEFORE);
  const piece = text.slice(from, from + SNIPPET);
  const line = piece.toWellFormed().replaceAll("\ufffd", "").replace(/\s+/gu, " ").trim();
  return `${from > 0 ? "…" : ""}${line}${from + SNIPPET < text.length ? "…" : ""}`;
}
