/** A move of the demo as a message of the Messages API, whole or as stream events. */
import { createHash } from "node:crypto";
import type {
  ContentBlock,
  Message,
  RawMessageStreamEvent,
  Usage,
} from "@anthropic-ai/sdk/resources/messages/messages";
import { DEMO_MODEL } from "../../contract/demo.ts";
import type { Move } from "./play.ts";
import { tokensIn } from "./usage.ts";

/** Small enough that text is seen to grow; inputs come in longer pieces, since nobody reads them while they stream. */
const TEXT_CHARS = 14;
const INPUT_CHARS = 60;

type InputUsage = Pick<
  Usage,
  "input_tokens" | "cache_read_input_tokens" | "cache_creation_input_tokens" | "cache_creation"
>;

/**
 * Ids follow from the conversation, so a repeated request gets the same ids, and ids of one session never collide: not
 * even after a compaction, which makes message counts start again.
 */
export function messageOf(move: Move, messages: unknown, usage: InputUsage): Message {
  const seed = createHash("sha256").update(JSON.stringify(messages)).digest("hex").slice(0, 20);
  const content: ContentBlock[] = [
    { type: "text", text: move.text, citations: null },
    ...move.calls.map(
      (call, i): ContentBlock => ({ type: "tool_use", id: `toolu_${seed}_${i}`, ...call, caller: { type: "direct" } }),
    ),
  ];
  return {
    id: `msg_${seed}`,
    type: "message",
    role: "assistant",
    model: DEMO_MODEL,
    content,
    container: null,
    diagnostics: null,
    stop_reason: move.calls.length > 0 ? "tool_use" : "end_turn",
    stop_sequence: null,
    stop_details: null,
    usage: {
      ...usage,
      output_tokens: tokensIn(content),
      output_tokens_details: null,
      inference_geo: null,
      server_tool_use: null,
      service_tier: "standard",
      speed: null,
    },
  };
}

/** The events of a streamed message, in order. */
export function* eventsOf(message: Message): Generator<RawMessageStreamEvent> {
  const { output_tokens, input_tokens, cache_creation_input_tokens, cache_read_input_tokens } = message.usage;
  yield {
    type: "message_start",
    message: { ...message, content: [], stop_reason: null, usage: { ...message.usage, output_tokens: 1 } },
  };
  for (const [index, block] of message.content.entries()) yield* blockEvents(block, index);
  yield {
    type: "message_delta",
    delta: { stop_reason: message.stop_reason, stop_sequence: null, stop_details: null, container: null },
    usage: {
      input_tokens,
      cache_creation_input_tokens,
      cache_read_input_tokens,
      output_tokens,
      output_tokens_details: null,
      server_tool_use: null,
    },
  };
  yield { type: "message_stop" };
}

function* blockEvents(block: ContentBlock, index: number): Generator<RawMessageStreamEvent> {
  if (block.type === "text") {
    yield { type: "content_block_start", index, content_block: { ...block, text: "" } };
    for (const text of pieces(block.text, TEXT_CHARS)) {
      yield { type: "content_block_delta", index, delta: { type: "text_delta", text } };
    }
  } else if (block.type === "tool_use") {
    yield { type: "content_block_start", index, content_block: { ...block, input: {} } };
    for (const partial_json of pieces(JSON.stringify(block.input), INPUT_CHARS)) {
      yield { type: "content_block_delta", index, delta: { type: "input_json_delta", partial_json } };
    }
  }
  yield { type: "content_block_stop", index };
}

/** Pieces of whole code points: half a surrogate pair in a delta would be replaced by the reader. */
function* pieces(text: string, size: number): Generator<string> {
  const points = [...text];
  for (let at = 0; at < points.length; at += size) yield points.slice(at, at + size).join("");
}
