/** Reads a streamed answer of the Messages API from the bytes of its response. */
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages/messages";
import { SseParser } from "../contract/sse/sse.ts";
import { ModelError } from "./model.ts";

/**
 * The stream's events in order, pings left out. An `error` event and a frame that is not JSON reject with a ModelError.
 * Read here and not through the SDK's web streams: those add about a millisecond to every step of a session.
 */
export async function* readEvents(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<RawMessageStreamEvent> {
  const parser = new SseParser();
  for await (const chunk of chunks) {
    for (const data of parser.push(chunk)) {
      const event = parse(data);
      if (event.type === "error") throw failureOf(event);
      if (event.type !== "ping") yield event as RawMessageStreamEvent;
    }
  }
}

interface AnyEvent {
  type: string;
  error?: { type?: string; message?: string };
}

function parse(data: string): AnyEvent {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw new ModelError("failed", "The model's stream is malformed: a frame is not JSON.");
  }
  if (typeof value !== "object" || value === null || typeof (value as AnyEvent).type !== "string") {
    throw new ModelError("failed", "The model's stream is malformed: a frame has no type.");
  }
  return value as AnyEvent;
}

function failureOf({ error }: AnyEvent): ModelError {
  const message = error?.message ?? "The endpoint reported an error in the middle of its answer.";
  if (error?.type === "overloaded_error") return new ModelError("overloaded", message, 529);
  if (error?.type === "rate_limit_error") return new ModelError("rate_limited", message, 429);
  return new ModelError("failed", message);
}
