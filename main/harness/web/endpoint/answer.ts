/** Reads the answer to a request that carries a server tool. Nothing in it is taken for granted. */
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import type { Usage } from "../../../contract/events.ts";

export type Fields = Record<string, unknown>;

/** A content block as it came; `text` and citations are put together from their deltas. */
export interface AnswerBlock extends Fields {
  type: string;
}

export interface WebAnswer {
  model: string;
  blocks: AnswerBlock[];
  stop_reason: string | null;
  /** The stream came to its end. */
  complete: boolean;
  /** Cumulative, as far as the stream came. */
  usage: Usage;
  /** As the endpoint counts them; counted from the blocks where it does not. */
  web_search_requests: number;
  web_fetch_requests: number;
}

/** An answer of which nothing has arrived. */
export function emptyAnswer(model: string): WebAnswer {
  return {
    model,
    blocks: [],
    stop_reason: null,
    complete: false,
    usage: { input_tokens: 0, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
    web_search_requests: 0,
    web_fetch_requests: 0,
  };
}

/** Takes the next event of the stream into `answer`, which tells what was spent also when the stream breaks off. */
export function takeEvent(answer: WebAnswer, event: RawMessageStreamEvent): void {
  switch (event.type) {
    case "message_start":
      if (typeof event.message?.model === "string") answer.model = event.message.model;
      return addUsage(answer, event.message?.usage);
    case "content_block_start":
      return startBlock(answer, event.index, event.content_block);
    case "content_block_delta":
      return takeDelta(answer.blocks[event.index], event.delta);
    case "content_block_stop":
      return finishInput(answer.blocks[event.index]);
    case "message_delta":
      answer.stop_reason = event.delta?.stop_reason ?? answer.stop_reason;
      return addUsage(answer, event.usage);
    case "message_stop":
      answer.complete = true;
      return;
    default:
  }
}

/** Blocks of one type, in order. */
export function blocksOf(answer: WebAnswer, type: string): AnswerBlock[] {
  return answer.blocks.filter((block) => block.type === type);
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The string, or "" for anything else. */
export function stringOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function startBlock(answer: WebAnswer, index: unknown, content: unknown): void {
  const next = answer.blocks.length;
  if (index === next && isFields(content) && typeof content["type"] === "string") {
    answer.blocks.push({ ...content, type: content["type"] });
  } else if (index === next) {
    // Its place is kept, or every later block would be taken for the wrong one.
    answer.blocks.push({ type: "unreadable" });
  }
}

const PARTIAL = Symbol("partial_json");
type Growing = AnswerBlock & { [PARTIAL]?: string };

type Delta = Extract<RawMessageStreamEvent, { type: "content_block_delta" }>["delta"];

function takeDelta(block: Growing | undefined, delta: Delta | undefined): void {
  if (block === undefined || delta === undefined) return;
  if (delta.type === "text_delta") block["text"] = stringOf(block["text"]) + stringOf(delta.text);
  else if (delta.type === "input_json_delta") block[PARTIAL] = (block[PARTIAL] ?? "") + stringOf(delta.partial_json);
  else if (delta.type === "thinking_delta") block["thinking"] = stringOf(block["thinking"]) + stringOf(delta.thinking);
  else if (delta.type === "signature_delta")
    block["signature"] = stringOf(block["signature"]) + stringOf(delta.signature);
  else if (delta.type === "citations_delta") {
    block["citations"] = [...(Array.isArray(block["citations"]) ? block["citations"] : []), delta.citation];
  }
}

function finishInput(block: Growing | undefined): void {
  if (block === undefined || block[PARTIAL] === undefined || block[PARTIAL].trim() === "") return;
  try {
    block["input"] = JSON.parse(block[PARTIAL]);
  } catch {
    // A call whose arguments cannot be read has no result either, and that is what is looked at.
  }
}

function addUsage(answer: WebAnswer, usage: unknown): void {
  if (!isFields(usage)) return;
  for (const key of Object.keys(answer.usage) as (keyof Usage)[]) {
    const value = usage[key];
    // Later numbers are cumulative: they replace the earlier ones.
    if (isCount(value)) answer.usage[key] = value;
  }
  const counts = usage["server_tool_use"];
  if (!isFields(counts)) return;
  if (isCount(counts["web_search_requests"])) answer.web_search_requests = counts["web_search_requests"];
  if (isCount(counts["web_fetch_requests"])) answer.web_fetch_requests = counts["web_fetch_requests"];
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}
