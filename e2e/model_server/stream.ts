/** From a scripted reply to the API's message object and stream events. */
import type {
  ContentBlock,
  Message,
  RawMessageStreamEvent,
  StopReason,
  TextCitation,
} from "@anthropic-ai/sdk/resources/messages/messages";
import type { CacheUsage } from "./cache.ts";
import type { ThinkingLedger } from "./checks/thinking.ts";
import type { Reply, ReplyBlock, RequestBody } from "./script.ts";
import { ServerTools } from "./server_tools.ts";
import { tokensOf } from "./tokens.ts";

export interface StreamedReply {
  message: Message;
  events: StreamEvent[];
}

/** A `ping` is on the wire but not in the SDK's union. */
export type StreamEvent = RawMessageStreamEvent | { type: "ping" };

type OwnBlock = Exclude<ReplyBlock, { type: "raw" | "web_search" | "web_fetch" }>;

const DEFAULT_DELTA_CHARS = 24;

/** Builds the message and its events; runs server tools, signs thinking and remembers which thinking led to which call. */
export function buildReply(
  reply: Reply,
  body: RequestBody,
  usage: CacheUsage,
  newId: (prefix: string) => string,
  ledger: ThinkingLedger,
): StreamedReply {
  const signatures: string[] = [];
  const partial = new Map<number, string>();
  /** Positions of blocks that are sent in one piece. */
  const whole = new Set<number>();
  const web = new ServerTools(body, newId);
  const content: ContentBlock[] = [];
  const one = (block: OwnBlock): ContentBlock => {
    if (block.type === "text") return { type: "text", text: block.text, citations: citationsOf(block) };
    if (block.type === "thinking") {
      const signature = ledger.sign(block.thinking);
      signatures.push(signature);
      return { type: "thinking", thinking: block.thinking, signature };
    }
    if (block.type === "redacted_thinking") {
      const data = ledger.seal(block.data);
      signatures.push(data);
      return { type: "redacted_thinking", data };
    }
    const id = block.id ?? newId("toolu_");
    ledger.remember(id, [...signatures]);
    if (block.partial_json !== undefined) partial.set(content.length, block.partial_json);
    return { type: "tool_use", id, name: block.name, input: block.input, caller: { type: "direct" } };
  };
  for (const block of reply.content) {
    if (block.type === "raw") whole.add(content.push(block.block as unknown as ContentBlock) - 1);
    else if (block.type === "web_search" || block.type === "web_fetch") content.push(...web.run(block));
    else content.push(one(block));
  }
  const used = web.usage.web_search_requests + web.usage.web_fetch_requests > 0 ? web.usage : null;
  const message = toMessage(reply, content, body.model, { ...usage, server_tool_use: used }, newId("msg_"));
  return { message, events: withPings(toEvents(message, reply, partial, whole), reply.ping_every) };
}

function citationsOf(block: Extract<ReplyBlock, { type: "text" }>): TextCitation[] | null {
  return (
    block.citations?.map((citation) => ({
      type: "web_search_result_location",
      encrypted_index: Buffer.from(citation.url).toString("base64"),
      ...citation,
    })) ?? null
  );
}

type WholeUsage = CacheUsage & Pick<Message["usage"], "server_tool_use">;

function toMessage(reply: Reply, content: ContentBlock[], model: string, usage: WholeUsage, id: string): Message {
  const calls = content.some((block) => block.type === "tool_use");
  const stop: StopReason = reply.stop_reason ?? (calls ? "tool_use" : "end_turn");
  const thinking = content.filter((block) => block.type === "thinking");
  return {
    id,
    type: "message",
    role: "assistant",
    model,
    content,
    container: null,
    diagnostics: null,
    stop_reason: stop,
    stop_sequence: reply.stop_sequence ?? null,
    stop_details: reply.stop_details ?? null,
    usage: {
      ...usage,
      output_tokens: reply.output_tokens ?? Math.max(1, tokensOf(content)),
      output_tokens_details: { thinking_tokens: thinking.length === 0 ? 0 : tokensOf(thinking) },
      inference_geo: null,
      service_tier: "standard",
      speed: reply.speed ?? null,
    },
  };
}

function toEvents(
  message: Message,
  reply: Reply,
  partial: ReadonlyMap<number, string>,
  whole: ReadonlySet<number>,
): RawMessageStreamEvent[] {
  const chars = reply.delta_chars ?? DEFAULT_DELTA_CHARS;
  const start: Message = {
    ...message,
    content: [],
    stop_reason: null,
    stop_sequence: null,
    stop_details: null,
    usage: { ...message.usage, output_tokens: 1, output_tokens_details: null, server_tool_use: null },
  };
  const events: RawMessageStreamEvent[] = [{ type: "message_start", message: start }];
  message.content.forEach((block, index) => {
    if (whole.has(index)) events.push(...inOnePiece(block, index));
    else events.push(...blockEvents(block, index, chars, partial.get(index)));
  });
  const { input_tokens, cache_creation_input_tokens, cache_read_input_tokens, output_tokens, output_tokens_details } =
    message.usage;
  events.push({
    type: "message_delta",
    delta: {
      stop_reason: message.stop_reason,
      stop_sequence: message.stop_sequence,
      stop_details: message.stop_details,
      container: null,
    },
    usage: {
      input_tokens,
      cache_creation_input_tokens,
      cache_read_input_tokens,
      output_tokens,
      output_tokens_details,
      server_tool_use: message.usage.server_tool_use,
    },
  });
  events.push({ type: "message_stop" });
  return events;
}

/** As the API sends redacted thinking and the results of its own tools. */
function inOnePiece(content_block: ContentBlock, index: number): RawMessageStreamEvent[] {
  return [
    { type: "content_block_start", index, content_block },
    { type: "content_block_stop", index },
  ];
}

function blockEvents(block: ContentBlock, index: number, chars: number, partialJson?: string): RawMessageStreamEvent[] {
  const stop: RawMessageStreamEvent = { type: "content_block_stop", index };
  const deltas = (text: string): string[] => chunks(text, chars);
  switch (block.type) {
    case "text":
      return [
        { type: "content_block_start", index, content_block: { ...block, text: "", citations: null } },
        ...deltas(block.text).map((text) => delta(index, { type: "text_delta", text })),
        ...(block.citations ?? []).map((citation) => delta(index, { type: "citations_delta", citation })),
        stop,
      ];
    case "thinking":
      return [
        { type: "content_block_start", index, content_block: { type: "thinking", thinking: "", signature: "" } },
        ...deltas(block.thinking).map((thinking) => delta(index, { type: "thinking_delta", thinking })),
        delta(index, { type: "signature_delta", signature: block.signature }),
        stop,
      ];
    case "tool_use":
    case "server_tool_use": {
      const json = partialJson ?? JSON.stringify(block.input);
      return [
        { type: "content_block_start", index, content_block: { ...block, input: {} } },
        delta(index, { type: "input_json_delta", partial_json: "" }),
        ...deltas(json).map((partial_json) => delta(index, { type: "input_json_delta", partial_json })),
        stop,
      ];
    }
    default:
      return inOnePiece(block, index);
  }
}

type Delta = Extract<RawMessageStreamEvent, { type: "content_block_delta" }>["delta"];

const delta = (index: number, part: Delta): RawMessageStreamEvent => ({
  type: "content_block_delta",
  index,
  delta: part,
});

/** Cuts text into pieces of `size` code points, so that no surrogate pair is torn. */
function chunks(text: string, size: number): string[] {
  const points = [...text];
  const out: string[] = [];
  for (let i = 0; i < points.length; i += size) out.push(points.slice(i, i + size).join(""));
  return out;
}

function withPings(events: RawMessageStreamEvent[], every: number | undefined): StreamEvent[] {
  if (every === 0) return events;
  const out: StreamEvent[] = [];
  events.forEach((event, i) => {
    if (every !== undefined && i > 0 && i % every === 0) out.push({ type: "ping" });
    out.push(event);
    if (every === undefined && i === 0) out.push({ type: "ping" });
  });
  return out;
}

/** One frame of the stream. */
export const sseFrame = (event: StreamEvent): string => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
