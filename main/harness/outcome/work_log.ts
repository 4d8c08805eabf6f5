/** A rendering of what an agent did, for its grader: bounded, and a function of the events alone. */
import type { EventOf, LedgerEvent, StoredEvent } from "../../contract/events.ts";
import { answeredCall } from "../../contract/fold_calls.ts";

/** Types of the events that a rendering is made of. */
export const WORK_TYPES = [
  "user.message",
  "user.custom_tool_result",
  "user.tool_result",
  "agent.message",
  "agent.tool_use",
  "agent.custom_tool_use",
  "agent.mcp_tool_use",
  "agent.tool_result",
  "agent.mcp_tool_result",
  "agent.thread_message_received",
  "span.outcome_evaluation_end",
  "longhaul.inputs_consumed",
];

/** Characters of a rendering. The beginning shows how the work was gone about, the end where it stands: that counts. */
const MAX_CHARS = 240_000;
const SHORT_MAX_CHARS = 30_000;
const HEAD_SHARE = 0.1;
/** Characters of one entry; what an agent writes into files is what it is mostly judged by. */
const MAX_MESSAGE = 20_000;
const MAX_INPUT = 8_000;
const MAX_RESULT = 4_000;

type Message = EventOf<"user.message"> | EventOf<"agent.thread_message_received">;

export class WorkLog {
  readonly #budget: number;
  readonly #head: string[] = [];
  readonly #tail: string[] = [];
  #headLeft: number;
  #tailChars = 0;
  #leftOut = 0;
  readonly #waiting = new Map<string, Message>();
  /** Names of calls by the id of their event. */
  readonly #calls = new Map<string, string>();

  /** @param shortened for an endpoint with a small context */
  constructor(shortened: boolean) {
    this.#budget = shortened ? SHORT_MAX_CHARS : MAX_CHARS;
    this.#headLeft = this.#budget * HEAD_SHARE;
  }

  /** Takes the next event. Large bodies may still be markers: their beginning is shown then. */
  take({ event }: StoredEvent): void {
    switch (event.type) {
      case "user.message":
      case "agent.thread_message_received":
        // Shown when the agent got it.
        this.#waiting.set(event.id, event);
        return;
      case "longhaul.inputs_consumed":
        for (const id of event.event_ids) this.#consume(id);
        return;
      case "agent.message":
        return this.#add("Agent", contentText(event.content), MAX_MESSAGE);
      case "agent.tool_use":
      case "agent.custom_tool_use":
      case "agent.mcp_tool_use":
        this.#calls.set(event.id, event.name);
        return this.#add(`Call of ${event.name}`, inputText(event.input), MAX_INPUT);
      case "span.outcome_evaluation_end":
        return this.#add(`Evaluation ${event.iteration + 1}: ${event.result}`, event.explanation, MAX_RESULT);
      default:
        if (isResult(event)) this.#addResult(event);
    }
  }

  /** The rendering; a text that says so when nothing was done. */
  text(): string {
    const gap = this.#leftOut === 0 ? [] : [`[… ${this.#leftOut} steps left out …]`];
    const entries = [...this.#head, ...gap, ...this.#tail];
    return entries.length === 0 ? "(The agent has done nothing.)" : entries.join("\n\n");
  }

  #consume(id: string): void {
    const message = this.#waiting.get(id);
    if (message === undefined) return;
    this.#waiting.delete(id);
    const who = message.type === "user.message" ? "User" : `Message of the agent ${message.from_agent_name ?? ""}`;
    this.#add(who, contentText(message.content), MAX_RESULT);
  }

  #addResult(event: ResultEvent): void {
    const id = answeredCall(event);
    const name = this.#calls.get(id);
    // The first result counts; a second one was never shown to the agent.
    if (name === undefined) return;
    this.#calls.delete(id);
    const how = event.is_error === true ? "Error" : "Result";
    this.#add(`${how} of ${name}`, contentText(event.content), MAX_RESULT);
  }

  #add(title: string, text: unknown, max: number): void {
    const entry = `## ${title}\n${cut(bodyText(text), Math.min(max, this.#budget / 4))}`;
    if (this.#tail.length === 0 && entry.length <= this.#headLeft) {
      this.#headLeft -= entry.length;
      this.#head.push(entry);
      return;
    }
    this.#tail.push(entry);
    this.#tailChars += entry.length;
    while (this.#tailChars > this.#budget * (1 - HEAD_SHARE) && this.#tail.length > 1) {
      this.#tailChars -= this.#tail.shift()?.length ?? 0;
      this.#leftOut += 1;
    }
  }
}

type ResultEvent =
  | EventOf<"agent.tool_result">
  | EventOf<"agent.mcp_tool_result">
  | EventOf<"user.custom_tool_result">
  | EventOf<"user.tool_result">;

function isResult(event: LedgerEvent): event is ResultEvent {
  return event.type.endsWith("tool_result");
}

function inputText(input: unknown): string {
  if (typeof input !== "object" || input === null) return JSON.stringify(input) ?? "";
  // Values as they are: a file that is written in one JSON string could hardly be read.
  return Object.entries(input)
    .map(([key, value]) => `${key}: ${typeof value === "string" ? value : markerText(value)}`)
    .join("\n");
}

function markerText(value: unknown): string {
  const preview = (value as { preview?: unknown } | null)?.preview;
  return typeof preview === "string" ? bodyText(value) : (JSON.stringify(value) ?? "");
}

interface Block {
  type: string;
  text?: unknown;
  title?: unknown;
}

function contentText(content: readonly object[] | undefined): string {
  const parts = (content ?? []).map((part) => {
    const { type, text, title } = part as Block;
    if (type === "text") return bodyText(text);
    return typeof title === "string" ? `[${type}: ${title}]` : `[${type}]`;
  });
  return parts.join("\n");
}

/** A string, or the beginning of one that was too large for its event. */
function bodyText(value: unknown): string {
  if (typeof value === "string") return value;
  const preview = (value as { preview?: unknown } | null)?.preview;
  return typeof preview === "string" ? `${preview}\n[… cut …]` : "";
}

function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  const half = Math.floor(max / 2);
  return `${text.slice(0, half)}\n[… ${text.length - 2 * half} characters left out …]\n${text.slice(-half)}`;
}
