/** Reads one streamed answer: previews go to watchers, the finished blocks are returned for one append. */
import type { ContentBlock, RawMessageStreamEvent, StopReason } from "@anthropic-ai/sdk/resources/messages/messages";
import type { Usage } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import type { PreviewFrame } from "../../contract/local_api.ts";
import { crashPoint } from "../../crash_points.ts";
import type { LiveDeltas } from "../../session/live.ts";
import { ModelError } from "../model.ts";

export interface Answer {
  message_id: string;
  model: string;
  content: ContentBlock[];
  /** Id of the contract event that each text or thinking block becomes, by index in `content`. */
  event_ids: (string | null)[];
  stop_reason: StopReason | null;
  stop_details: { category: string | null; explanation: string | null } | null;
  usage: Usage;
  /** At which the endpoint says it ran; null where it says nothing. */
  speed: "standard" | "fast" | null;
  first_token_ms: number | null;
  duration_ms: number;
  /** False when the stream ended before `message_stop` (interrupted); then only whole text blocks are kept. */
  complete: boolean;
}

interface Block {
  content: ContentBlock;
  event_id: string | null;
  json: string;
  closed: boolean;
}

export interface ReadOptions {
  session_id: string;
  thread_id: string;
  live: LiveDeltas;
  /** Called when a tool call begins to stream, with its name: provisioning starts here. */
  onToolStart: (name: string) => void;
}

/**
 * Consumes a stream to its end.
 * On an `AbortError` the part that arrived is returned with `complete: false`; a stream that breaks the protocol or
 * ends early rejects with a ModelError of kind `failed`.
 */
export async function readAnswer(stream: AsyncIterable<RawMessageStreamEvent>, options: ReadOptions): Promise<Answer> {
  const reader = new AnswerReader(options);
  try {
    for await (const event of stream) reader.take(event);
  } catch (error) {
    if (error instanceof Error && error.name === "AbortError") return reader.finish(false);
    throw error;
  }
  return reader.finish(true);
}

const SPEEDS = ["standard", "fast"] as const;

class AnswerReader {
  readonly #options: ReadOptions;
  readonly #started = performance.now();
  readonly #blocks: Block[] = [];
  #messageId = "";
  #model = "";
  #usage: Usage = { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  #speed: Answer["speed"] = null;
  #stopReason: StopReason | null = null;
  #stopDetails: Answer["stop_details"] = null;
  #firstTokenMs: number | null = null;
  #stopped = false;

  constructor(options: ReadOptions) {
    this.#options = options;
  }

  take(event: RawMessageStreamEvent): void {
    switch (event.type) {
      case "message_start":
        this.#messageId = event.message.id;
        this.#model = event.message.model;
        this.#addUsage(event.message.usage);
        // Endpoints of other makers say nothing of it, whatever the type says.
        this.#speed = SPEEDS.find((speed) => speed === event.message.usage.speed) ?? null;
        return;
      case "content_block_start":
        return this.#startBlock(event.index, event.content_block);
      case "content_block_delta":
        return this.#delta(this.#block(event.index), event.delta);
      case "content_block_stop":
        return this.#stopBlock(this.#block(event.index));
      case "message_delta":
        this.#stopReason = event.delta.stop_reason;
        if (event.delta.stop_details) {
          const { category, explanation } = event.delta.stop_details;
          this.#stopDetails = { category: category ?? null, explanation: explanation ?? null };
        }
        this.#addUsage(event.usage);
        return;
      case "message_stop":
        this.#stopped = true;
        return;
      default:
        // Stream event types of later API versions carry nothing that this version could use.
        return;
    }
  }

  finish(ended: boolean): Answer {
    if (ended && !this.#stopped) {
      throw new ModelError("failed", "The model's stream ended before the answer was complete.");
    }
    if (ended && this.#stopReason !== "max_tokens" && this.#blocks.some((block) => !block.closed)) {
      throw new ModelError("failed", "The model's answer holds a tool call that cannot be read.");
    }
    // At max_tokens the last tool call may be cut in the middle of its arguments: it must never run.
    const kept = this.#blocks.filter((block) => block.closed || block.content.type === "text");
    const usable = ended ? kept : kept.filter((block) => block.content.type === "text" && block.content.text !== "");
    return {
      message_id: this.#messageId,
      model: this.#model,
      content: usable.map((block) => block.content),
      event_ids: usable.map((block) => block.event_id),
      stop_reason: this.#stopReason,
      stop_details: this.#stopDetails,
      usage: this.#usage,
      speed: this.#speed,
      first_token_ms: this.#firstTokenMs === null ? null : Math.round(this.#firstTokenMs),
      duration_ms: Math.round(performance.now() - this.#started),
      complete: ended,
    };
  }

  #startBlock(index: number, content: ContentBlock): void {
    if (this.#messageId === "" || index !== this.#blocks.length) {
      throw new ModelError("failed", "The model's stream is malformed: a content block came out of order.");
    }
    if (this.#firstTokenMs === null) {
      this.#firstTokenMs = performance.now() - this.#started;
      crashPoint("model.first_token");
    }
    const shown = content.type === "text" || content.type === "thinking";
    const event_id = shown ? newId("event") : null;
    this.#blocks.push({ content: { ...content }, event_id, json: "", closed: false });
    if (event_id !== null) {
      const type = content.type === "text" ? "agent.message" : "agent.thinking";
      this.#publish({ type: "event_start", event: { type, id: event_id } });
    }
    if (content.type === "tool_use") this.#options.onToolStart(content.name);
  }

  #delta(block: Block, delta: Extract<RawMessageStreamEvent, { type: "content_block_delta" }>["delta"]): void {
    const { content } = block;
    if (delta.type === "text_delta" && content.type === "text") {
      content.text += delta.text;
      const part = { type: "content_delta" as const, index: 0, content: { type: "text" as const, text: delta.text } };
      if (block.event_id !== null) this.#publish({ type: "event_delta", event_id: block.event_id, delta: part });
    } else if (delta.type === "input_json_delta") {
      block.json += delta.partial_json;
    } else if (delta.type === "thinking_delta" && content.type === "thinking") {
      content.thinking += delta.thinking;
    } else if (delta.type === "signature_delta" && content.type === "thinking") {
      content.signature += delta.signature;
    }
  }

  #stopBlock(block: Block): void {
    const { content } = block;
    if (content.type === "tool_use" || content.type === "server_tool_use") {
      const input = parseInput(block.json);
      // An unfinished call stays open here: at max_tokens it is dropped, otherwise the stream is at fault.
      if (input === undefined) return;
      if (block.json !== "") content.input = input;
    }
    block.closed = true;
  }

  #block(index: number): Block {
    const block = this.#blocks[index];
    if (block === undefined) throw new ModelError("failed", `The model's stream is malformed: no block ${index}.`);
    return block;
  }

  #addUsage(usage: { [K in keyof Usage]?: number | null }): void {
    for (const key of Object.keys(this.#usage) as (keyof Usage)[]) {
      const value = usage[key];
      // message_delta repeats cumulative numbers: the later one counts.
      if (typeof value === "number") this.#usage = { ...this.#usage, [key]: value };
    }
  }

  #publish(frame: PreviewFrame): void {
    const { live, session_id, thread_id } = this.#options;
    live.publish(session_id, { type: "preview", thread_id, frame });
  }
}

function parseInput(json: string): Record<string, unknown> | undefined {
  if (json.trim() === "") return {};
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
