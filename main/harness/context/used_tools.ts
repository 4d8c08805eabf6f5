/** Tools that a conversation has used, for requests of a session that offers none any more. */
import type { Tool } from "@anthropic-ai/sdk/resources/messages/messages";

/** Key order as the transcript writes it. Quotes inside texts are escaped, so that no text can look like a call. */
const CALL = /\{"type":"tool_use","id":"[^"]*","name":"([A-Za-z0-9_-]{1,128})"/g;

/**
 * A definition for each tool that the messages (JSON texts) hold a call of, in order of first use: the Messages API refuses
 * a conversation with tool calls when no tool is defined. They are for the record, not to be called.
 */
export function usedTools(messages: readonly string[]): Tool[] {
  const names = new Set(messages.flatMap((message) => [...message.matchAll(CALL)].map(([, name]) => name ?? "")));
  return [...names].map((name) => ({
    name,
    description: "Not available any more.",
    input_schema: { type: "object" as const },
  }));
}
