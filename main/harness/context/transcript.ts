/**
 * The conversation as the model sees it, folded from events in processing order. Appending only ever adds blocks to
 * the last message or adds messages: what an earlier request held stays byte-identical, so prompt caches survive.
 */
import type { EventOf, LedgerEvent, LonghaulEventOf, StoredEvent } from "../../contract/events.ts";
import { answeredCall } from "../../contract/fold_calls.ts";
import { outcomeTask } from "../outcome/words.ts";
import { block, clean, cleanJson, messageBlocks, resultBlock, textBlock } from "./blocks.ts";
import { type Message, messageTexts } from "./messages.ts";

export { clean } from "./blocks.ts";

/** A message that has arrived and is not yet part of the conversation. */
type Arrived =
  | EventOf<"user.message">
  | EventOf<"user.define_outcome">
  | EventOf<"system.message">
  | EventOf<"agent.thread_message_received">;

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
  /** Blocks of all system messages so far: they hold for the whole session, also after a summary. */
  #system: string[] = [];
  readonly #waiting = new Map<string, Arrived>();

  /** Takes the next event of the ledger; events that are not part of the conversation are passed over. */
  apply(stored: StoredEvent): void {
    const { event } = stored;
    switch (event.type) {
      case "user.message":
      case "user.define_outcome":
      case "system.message":
      case "agent.thread_message_received":
        this.#waiting.set(event.id, event);
        return;
      case "span.outcome_evaluation_end":
        return this.#forget(event.outcome_id);
      case "longhaul.inputs_consumed":
        for (const id of event.event_ids) this.#consume(id);
        return;
      case "longhaul.continuation":
        this.#addUser([textBlock(event.text)]);
        return;
      case "longhaul.model_response":
        this.#addResponse(event);
        return;
      case "longhaul.compaction":
        this.#messages = [];
        this.#round = null;
        this.#addUser([block({ type: "text", text: SUMMARY_HEAD + clean(event.summary) + SUMMARY_TAIL })]);
        if (this.#system.length > 0) this.#messages.push({ role: "system", blocks: [...this.#system] });
        return;
      default:
        if (isResult(event)) this.#addResult(event);
    }
  }

  /**
   * The messages as JSON texts, valid for the Messages API whatever prefix of a log was applied: calls without a
   * result get a placeholder, and the conversation always begins with a user message and asks for an answer.
   * @param extra text of one more user block, for a compaction request
   * @param systemRole false: system messages are put into the user's turns, for endpoints that do not know them
   */
  messages(extra?: string, systemRole = true): string[] {
    const round: Message[] = this.#round === null ? [] : [{ role: "user", blocks: this.#resultBlocks(this.#round) }];
    return messageTexts([...this.#messages, ...round], extra, systemRole);
  }

  /** A copy that can go its own way: what is applied to it leaves this one as it is. */
  fork(): Transcript {
    const copy = new Transcript();
    copy.#messages = this.#messages.slice();
    const last = copy.#messages.pop();
    // Only the last message is ever changed; those before it can be shared.
    if (last !== undefined) copy.#messages.push({ role: last.role, blocks: last.blocks.slice() });
    if (this.#round !== null) copy.#round = { uses: this.#round.uses, results: new Map(this.#round.results) };
    copy.#system = this.#system.slice();
    for (const [id, message] of this.#waiting) copy.#waiting.set(id, message);
    return copy;
  }

  #consume(id: string): void {
    const message = this.#waiting.get(id);
    if (message === undefined) return;
    this.#waiting.delete(id);
    switch (message.type) {
      case "user.message":
        return this.#addUser(messageBlocks(message.content));
      case "user.define_outcome":
        return this.#addUser(outcomeTask(message).map(textBlock));
      case "agent.thread_message_received":
        return this.#addUser([textBlock(sender(message)), ...messageBlocks(message.content)]);
      case "system.message":
        return this.#addSystem(messageBlocks(message.content));
    }
  }

  /** An outcome that ended before the agent was told of it never becomes part of the conversation. */
  #forget(outcomeId: string): void {
    for (const [id, message] of this.#waiting) {
      if (message.type === "user.define_outcome" && message.outcome_id === outcomeId) this.#waiting.delete(id);
    }
  }

  #addResponse(event: LonghaulEventOf<"longhaul.model_response">): void {
    // A refused answer must not be shown to the model again: it would refuse everything that follows.
    if (event.kind === "grading" || event.stop_reason === "refusal") return;
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
    round.results.set(eventId, resultBlock(use.model_id, event.content, event.is_error === true));
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
    this.#add("user", blocks);
  }

  #addSystem(blocks: string[]): void {
    this.#system.push(...blocks);
    this.#add("system", blocks);
  }

  #add(role: "user" | "system", blocks: string[]): void {
    this.#closeRound();
    const last = this.#messages.at(-1);
    if (last?.role === role) last.blocks = [...last.blocks, ...blocks];
    else this.#messages.push({ role, blocks });
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
