/** Reads a Messages request as the demo needs it. Whatever is not understood is left out, never fatal. */
import { Refusal } from "../refusal.ts";
import { INTRODUCTION, SUMMARY_TITLE } from "./identity.ts";

export interface DemoCall {
  name: string;
  input: Record<string, unknown>;
  /** Number of the assistant message that made it: calls of one round are answered together. */
  round: number;
  /** null: no result has been sent back. */
  result: { text: string; is_error: boolean } | null;
}

export interface Conversation {
  /** Every call so far, in order. */
  calls: DemoCall[];
  /** Calls since the person (or the harness) last said something. */
  sincePrompt: DemoCall[];
  /** True when the last message says something besides handing back results. */
  prompted: boolean;
  /** Text of the last block of the last user message, when it is a text. */
  lastText: string;
  /** First thing that was asked, for a summary. */
  firstText: string;
  /** Everything the assistant said, and summaries of what it said. */
  said: string;
  /** True when the beginning was replaced by a summary: what the files hold is then unknown. */
  summarised: boolean;
  /** True when another model led this conversation so far. */
  foreign: boolean;
  tools: Set<string>;
  /** The request allows no tool call. */
  toolsForbidden: boolean;
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The request body; refuses what no Messages API would take. */
export function parseRequest(body: Buffer | null): Json {
  let request: unknown;
  try {
    request = JSON.parse(body?.toString() ?? "");
  } catch {
    throw new Refusal(400, "invalid_request_error", "The request body is not valid JSON.");
  }
  if (!isObject(request)) throw new Refusal(400, "invalid_request_error", "The request body must be a JSON object.");
  const { messages } = request;
  if (!Array.isArray(messages)) throw new Refusal(400, "invalid_request_error", "messages: Field required");
  if (messages.length === 0)
    throw new Refusal(400, "invalid_request_error", "messages: at least one message is required");
  return request;
}

/** Blocks of a message; a plain string is one text block. */
export function blocksOf(message: unknown): Json[] {
  if (!isObject(message)) return [];
  const { content } = message;
  if (typeof content === "string") return [{ type: "text", text: content }];
  return Array.isArray(content) ? content.filter(isObject) : [];
}

export function readConversation(request: Json): Conversation {
  const messages = request.messages as unknown[];
  const conversation: Conversation = {
    calls: [],
    sincePrompt: [],
    prompted: false,
    lastText: "",
    firstText: "",
    said: "",
    summarised: false,
    foreign: false,
    tools: toolNames(request.tools),
    toolsForbidden: isObject(request.tool_choice) && request.tool_choice.type === "none",
  };
  const byId = new Map<string, DemoCall>();
  let answers = 0;
  for (const message of messages) {
    const role = isObject(message) ? message.role : undefined;
    if (role === "assistant") {
      answers += 1;
      readAssistant(blocksOf(message), answers, conversation, byId);
    } else if (role === "user") readUser(blocksOf(message), conversation, byId);
  }
  conversation.foreign = answers > 0 && !conversation.said.includes(INTRODUCTION) && !conversation.summarised;
  return conversation;
}

function readAssistant(
  blocks: readonly Json[],
  round: number,
  conversation: Conversation,
  byId: Map<string, DemoCall>,
): void {
  conversation.prompted = false;
  for (const block of blocks) {
    if (block.type === "text") conversation.said += `${String(block.text)}\n`;
    if (block.type !== "tool_use") continue;
    const input = isObject(block.input) ? block.input : {};
    const call: DemoCall = { name: String(block.name), input, round, result: null };
    byId.set(String(block.id), call);
    conversation.calls.push(call);
    conversation.sincePrompt.push(call);
  }
}

function readUser(blocks: readonly Json[], conversation: Conversation, byId: ReadonlyMap<string, DemoCall>): void {
  conversation.lastText = "";
  for (const block of blocks) {
    if (block.type === "tool_result") {
      const call = byId.get(String(block.tool_use_id));
      if (call !== undefined) call.result = { text: resultText(block.content), is_error: block.is_error === true };
      continue;
    }
    conversation.prompted = true;
    conversation.sincePrompt = [];
    if (block.type !== "text") continue;
    const text = String(block.text);
    conversation.lastText = text;
    if (conversation.firstText === "") conversation.firstText = text;
    if (!text.includes(SUMMARY_TITLE)) continue;
    conversation.summarised = true;
    conversation.said += `${text}\n`;
    // What was known of the files is what the summary says, and that is to be looked up.
    conversation.calls = [];
  }
}

function resultText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((block: unknown) => (isObject(block) && typeof block.text === "string" ? block.text : ""))
    .join("\n");
}

function toolNames(tools: unknown): Set<string> {
  if (!Array.isArray(tools)) return new Set();
  return new Set(tools.filter(isObject).map((tool) => String(tool.name)));
}
