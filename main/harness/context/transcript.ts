/**
 * The conversation as the model sees it, folded from events in processing order. Appending only ever adds blocks to
 * the last user message or adds messages: what an earlier request held stays byte-identical, so prompt caches survive.
 */
import type { ContentBlockParam, ToolResultBlockParam } from "@anthropic-ai/sdk/resources/messages/messages";
import type { EventOf, LedgerEvent, LonghaulEventOf, StoredEvent } from "../../contract/events.ts";
import { answeredCall } from "../../contract/fold_calls.ts";
import { fileSource } from "./files.ts";

/** One message: its blocks as JSON texts, so that a request is joined rather than serialised again at every step. */
interface Message {
  role: "user" | "assistant";
  blocks: string[];
}

/** A message that has arrived and is not yet part of the conversation. */
type Arrived = EventOf<"user.message"> | EventOf<"agent.thread_message_received">;

interface OpenRound {
  /** The model's tool-use ids in the order of its message, with the ids of their events. */
  uses: { model_id: string; event_id: string }[];
  results: Map<string, string>;
}

const NOT_FINISHED = "The call has not finished yet.";
const SUMMARY_HEAD =
  "The earlier part of this session was summarised to save room. The complete record is kept: read it back by position with the session_events tool when a detail matters.\n\n<summary>\n";
const SUMMARY_TAIL = "\n</summary>\n\nGo on with the task from where it stands.";

export class Transcript {
  #messages: Message[] = [];
  #round: OpenRound | null = null;
  readonly #waiting = new Map<string, Arrived>();

  /** Takes the next event of the ledger; events that are not part of the conversation are passed over. */
  apply(stored: StoredEvent): void {
    const { event } = stored;
    switch (event.type) {
      case "user.message":
      case "agent.thread_message_received":
        this.#waiting.set(event.id, event);
        return;
      case "longhaul.inputs_consumed":
        for (const id of event.event_ids) this.#consume(id);
        return;
      case "longhaul.continuation":
        this.#addUser([block({ type: "text", text: clean(event.text) })]);
        return;
      case "longhaul.model_response":
        this.#addResponse(event);
        return;
      case "longhaul.compaction":
        this.#messages = [];
        this.#round = null;
        this.#addUser([block({ type: "text", text: SUMMARY_HEAD + clean(event.summary) + SUMMARY_TAIL })]);
        return;
      default:
        if (isResult(event)) this.#addResult(event);
    }
  }

  /**
   * The messages as JSON texts, valid for the Messages API whatever prefix of a log was applied: calls without a
   * result get a placeholder, and the conversation always begins and ends with a user message.
   * @param extra text of one more user block, for a compaction request
   */
  messages(extra?: string): string[] {
    const messages = this.#messages.map((message) => ({ role: message.role, blocks: message.blocks }));
    if (this.#round !== null) messages.push({ role: "user", blocks: this.#resultBlocks(this.#round) });
    if (messages[0]?.role !== "user") messages.unshift({ role: "user", blocks: [textBlock("Begin.")] });
    const last = messages.at(-1);
    if (last?.role === "assistant") messages.push({ role: "user", blocks: [textBlock("Go on.")] });
    const tail = messages.at(-1);
    if (extra !== undefined && tail !== undefined) tail.blocks = [...tail.blocks, textBlock(extra)];
    return messages.map((message) => `{"role":"${message.role}","content":[${message.blocks.join(",")}]}`);
  }

  /** A copy that can go its own way: what is applied to it leaves this one as it is. */
  fork(): Transcript {
    const copy = new Transcript();
    copy.#messages = this.#messages.slice();
    const last = copy.#messages.pop();
    // Only the last message is ever changed; those before it can be shared.
    if (last !== undefined) copy.#messages.push({ role: last.role, blocks: last.blocks.slice() });
    if (this.#round !== null) copy.#round = { uses: this.#round.uses, results: new Map(this.#round.results) };
    for (const [id, message] of this.#waiting) copy.#waiting.set(id, message);
    return copy;
  }

  #consume(id: string): void {
    const message = this.#waiting.get(id);
    if (message === undefined) return;
    this.#waiting.delete(id);
    const blocks: string[] = [];
    if (message.type === "agent.thread_message_received") blocks.push(textBlock(sender(message)));
    for (const content of message.content) {
      if (content.type === "redacted") continue;
      if (content.type !== "text") blocks.push(JSON.stringify(withFileSource(content)));
      else if (content.text.trim() !== "") blocks.push(textBlock(content.text));
    }
    this.#addUser(blocks.length > 0 ? blocks : [textBlock("(empty message)")]);
  }

  #addResponse(event: LonghaulEventOf<"longhaul.model_response">): void {
    // A refused answer must not be shown to the model again: it would refuse everything that follows.
    if (event.stop_reason === "refusal") return;
    const blocks: string[] = [];
    const uses: OpenRound["uses"] = [];
    for (const content of event.content) {
      // The API refuses text of white space alone, though models send it, for example before a tool call.
      if (content.type === "text" && content.text.trim() === "") continue;
      if (content.type === "tool_use") {
        const eventId = event.tool_events[content.id];
        if (eventId === undefined) continue;
        uses.push({ model_id: content.id, event_id: eventId });
        blocks.push(block({ type: "tool_use", id: content.id, name: content.name, input: cleanJson(content.input) }));
      } else if (content.type === "text") {
        blocks.push(block({ type: "text", text: clean(content.text) }));
      } else {
        blocks.push(JSON.stringify(content));
      }
    }
    if (blocks.length === 0) return;
    this.#closeRound();
    if (this.#messages.at(-1)?.role === "assistant") {
      // After pause_turn the model goes on in the same message: two assistant messages in a row are not allowed.
      this.#messages.at(-1)?.blocks.push(...blocks);
    } else {
      this.#messages.push({ role: "assistant", blocks });
    }
    this.#round = uses.length > 0 ? { uses, results: new Map() } : null;
  }

  #addResult(event: ResultEvent): void {
    const round = this.#round;
    const eventId = answeredCall(event);
    const use = round?.uses.find((candidate) => candidate.event_id === eventId);
    // The first result counts; a second one for the same call was never shown to the model.
    if (round === null || use === undefined || round.results.has(eventId)) return;
    const content = (event.content ?? []).map((part) =>
      part.type === "text"
        ? { type: "text" as const, text: part.text.trim() === "" ? "(no output)" : clean(part.text) }
        : part,
    );
    const result: ToolResultBlockParam = {
      type: "tool_result",
      tool_use_id: use.model_id,
      content: content as NonNullable<Exclude<ToolResultBlockParam["content"], string>>,
    };
    if (content.length === 0) result.content = "(no output)";
    if (event.is_error === true) result.is_error = true;
    round.results.set(eventId, JSON.stringify(result));
    if (round.results.size < round.uses.length) return;
    this.#closeRound();
  }

  /** Ends the round: whatever follows it, each of its calls has a result right after it. */
  #closeRound(): void {
    const round = this.#round;
    if (round === null) return;
    this.#round = null;
    this.#messages.push({ role: "user", blocks: this.#resultBlocks(round) });
  }

  /** Results in the order of the model's calls, not of their completion: the bytes must not depend on a race. */
  #resultBlocks(round: OpenRound): string[] {
    return round.uses.map(
      (use) =>
        round.results.get(use.event_id) ??
        block({ type: "tool_result", tool_use_id: use.model_id, content: NOT_FINISHED, is_error: true }),
    );
  }

  #addUser(blocks: string[]): void {
    this.#closeRound();
    const last = this.#messages.at(-1);
    if (last?.role === "user") last.blocks = [...last.blocks, ...blocks];
    else this.#messages.push({ role: "user", blocks });
  }
}

/** Tells the model who speaks: everything else in a user turn is the person's. */
function sender(message: EventOf<"agent.thread_message_received">): string {
  const { from_agent_name: name, from_session_thread_id: thread } = message;
  // The agent of the primary thread has no name here.
  if (name == null) return `[Message from the agent of the primary thread, ${thread}]`;
  return `[Message from the agent ${JSON.stringify(name)} in thread ${thread}]`;
}

type ResultEvent =
  | EventOf<"agent.tool_result">
  | EventOf<"agent.mcp_tool_result">
  | EventOf<"user.custom_tool_result">
  | EventOf<"user.tool_result">;

function isResult(event: LedgerEvent): event is ResultEvent {
  return (
    event.type === "agent.tool_result" ||
    event.type === "agent.mcp_tool_result" ||
    event.type === "user.custom_tool_result" ||
    event.type === "user.tool_result"
  );
}

/** One key order for file sources, whatever the client sent: they are found by their bytes later. */
function withFileSource<B extends { source: { type: string } }>(content: B): B {
  const { source } = content;
  if (source.type !== "file" || !("file_id" in source)) return content;
  return { ...content, source: fileSource(String(source.file_id)) };
}

function block(content: ContentBlockParam): string {
  return JSON.stringify(content);
}

function textBlock(text: string): string {
  return block({ type: "text", text: clean(text) });
}

/** {@link clean} for every string in a tool input; untouched, and so cheap, where nothing needs it. */
function cleanJson(value: unknown): unknown {
  const json = JSON.stringify(value);
  if (!json.includes("\\u0000") && !json.includes("\\ud")) return value;
  return JSON.parse(json, (_key, part: unknown) => (typeof part === "string" ? clean(part) : part));
}

/** Well-formed Unicode without NUL: one bad character would make every later request a permanent 400. */
export function clean(text: string): string {
  const formed = text.isWellFormed() ? text : text.toWellFormed();
  return formed.includes("\0") ? formed.replaceAll("\0", "\uFFFD") : formed;
}
