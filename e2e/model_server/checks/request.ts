/** Checks a Messages request as the API does. Order: shape of the whole body first, then rules across fields. */

import { estimateTokens } from "../tokens.ts";
import { assistantBlock, cacheControl, text, textBlock, userBlock } from "./blocks.ts";
import { Rejection, reject } from "./rejection.ts";
import {
  anything,
  boolean,
  type Check,
  fields,
  integer,
  type Json,
  list,
  nullable,
  object,
  oneOf,
  optional,
  required,
  string,
  tagged,
} from "./shape.ts";
import type { ThinkingLedger } from "./thinking.ts";
import { checkForcedTool, checkToolChoice, toolChoice, tools } from "./tools.ts";
import { checkThinking, checkToolPairs, type Turn, turnsOf } from "./turns.ts";

export interface ModelLimits {
  /** Tokens of prompt that fit. */
  context: number;
  max_output: number;
  /** True when the conversation may end with the start of an answer. */
  prefill: boolean;
  /** False when the conversation may not hold system messages. */
  system_role?: boolean;
}

const type = required(anything);
const display = optional(nullable(oneOf("summarized", "omitted")));

const thinking = tagged({
  enabled: fields({ type, budget_tokens: required(integer(1024)), display }),
  adaptive: fields({ type, display }),
  between_tools: fields({ type }),
  disabled: fields({ type }),
});

const content =
  (block: Check): Check =>
  (value, path) => {
    if (typeof value === "string") {
      if (value !== "") text(value, path);
    } else list(block)(value, path);
  };

const message: Check = (value, path) => {
  object(value, path);
  const { role } = value as Json;
  if (role === undefined) reject(`${path}.role: Field required`);
  if (role !== "user" && role !== "assistant" && role !== "system") {
    reject(`${path}: Input should be 'user' or 'assistant'. Received role: ${JSON.stringify(role)}`);
  }
  const block = role === "user" ? userBlock : role === "assistant" ? assistantBlock : tagged({ text: textBlock });
  fields({ role: required(anything), content: required(content(block)) })(value, path);
};

const system: Check = (value, path) => {
  if (typeof value === "string") return;
  list(tagged({ text: textBlock }))(value, path);
};

const shared = {
  model: required(string),
  messages: required(list(message)),
  system: optional(system),
  tools: optional(tools),
  tool_choice: optional(toolChoice),
  thinking: optional(thinking),
  cache_control: optional(cacheControl),
  output_config: optional(
    fields({
      effort: optional(nullable(oneOf("low", "medium", "high", "xhigh", "max"))),
      format: optional(nullable(object)),
    }),
  ),
  speed: optional(nullable(oneOf("standard", "fast"))),
  context_management: optional(object),
};

const createShape = fields({
  ...shared,
  max_tokens: required(integer(0)),
  stream: optional(boolean),
  stop_sequences: optional(list(string)),
  temperature: optional(anything),
  top_p: optional(anything),
  top_k: optional(integer(0)),
  metadata: optional(fields({ user_id: optional(nullable(string)) })),
  service_tier: optional(oneOf("auto", "standard_only")),
  container: optional(anything),
  diagnostics: optional(nullable(object)),
  inference_geo: optional(nullable(string)),
});

const countShape = fields(shared);

export interface Checked {
  turns: Turn[];
  promptTokens: number;
}

/** Throws {@link Rejection} when the API would refuse this body. */
export function checkRequest(
  body: unknown,
  route: "create" | "count",
  models: Record<string, ModelLimits>,
  ledger: ThinkingLedger,
): Checked {
  (route === "create" ? createShape : countShape)(body, "");
  const request = body as Json;
  const limits = models[String(request.model)];
  if (limits === undefined) throw new Rejection(`model: ${String(request.model)}`, 404, "not_found_error");
  if (route === "create") checkMaxTokens(request, limits);
  checkCacheControls(request);
  const turns = checkMessages(request, limits);
  checkToolChoice(request);
  checkForcedTool(request);
  checkThinking(turns, ledger, request.thinking !== undefined && (request.thinking as Json).type !== "disabled");
  const promptTokens = estimateTokens(request);
  if (route === "create" && promptTokens > limits.context) {
    reject(`prompt is too long: ${promptTokens} tokens > ${limits.context} maximum`);
  }
  return { turns, promptTokens };
}

function checkMaxTokens(request: Json, limits: ModelLimits): void {
  const maxTokens = request.max_tokens as number;
  if (maxTokens > limits.max_output) {
    reject(
      `max_tokens: ${maxTokens} > ${limits.max_output}, which is the maximum allowed number of output tokens for ${String(request.model)}`,
    );
  }
  const config = request.thinking as Json | undefined;
  if (config?.type === "enabled" && maxTokens <= (config.budget_tokens as number)) {
    reject("`max_tokens` must be greater than `thinking.budget_tokens`");
  }
}

function checkMessages(request: Json, limits: ModelLimits): Turn[] {
  const messages = request.messages as Json[];
  if (messages.length === 0) reject("messages: at least one message is required");
  if (messages[0]?.role !== "user") reject('messages: first message must use the "user" role');
  messages.forEach((item, i) => {
    const empty = (item.content as string | Json[]).length === 0;
    const finalAssistant = i === messages.length - 1 && item.role === "assistant";
    if (empty && !finalAssistant) {
      reject(`messages.${i}: all messages must have non-empty content except for the optional final assistant message`);
    }
  });
  checkSystemMessages(messages, limits);
  const turns = turnsOf(messages);
  checkToolPairs(turns);
  checkEnding(turns, limits);
  const usesTools = turns.some((turn) => turn.blocks.some((block) => block.type === "tool_use"));
  if (usesTools && ((request.tools as Json[] | undefined) ?? []).length === 0) {
    reject("Requests which include `tool_use` or `tool_result` blocks must define tools.");
  }
  return turns;
}

/** A system message follows a user message, and only an answer follows it. */
function checkSystemMessages(messages: readonly Json[], limits: ModelLimits): void {
  messages.forEach(({ role }, i) => {
    if (role !== "system") return;
    if (limits.system_role === false) reject("role 'system' is not supported on this model");
    if (messages[i - 1]?.role !== "user") {
      reject(`messages.${i}: a \`system\` message must immediately follow a \`user\` message`);
    }
    const next = messages[i + 1]?.role;
    if (next !== undefined && next !== "assistant") {
      reject(`messages.${i}: a \`system\` message must be the last message or be followed by an \`assistant\` message`);
    }
  });
}

function checkEnding(turns: readonly Turn[], limits: ModelLimits): void {
  const last = turns.at(-1);
  if (last?.role !== "assistant") return;
  const block = last.blocks.at(-1);
  if (block?.type === "text" && /\s$/.test(String(block.text))) {
    reject("messages: final assistant content cannot end with trailing whitespace");
  }
  const serverTool = last.blocks.some((item) => item.type === "server_tool_use");
  if (!limits.prefill && !serverTool) {
    reject("This model does not support assistant message prefill. The conversation must end with a user message.");
  }
}

function checkCacheControls(request: Json): void {
  const found =
    countCacheControls(request.tools) + countCacheControls(request.system) + countCacheControls(request.messages);
  const automatic = request.cache_control === undefined || request.cache_control === null ? 0 : 1;
  if (found + automatic > 4) {
    reject(`A maximum of 4 blocks with cache_control may be provided. Found ${found + automatic}.`);
  }
}

function countCacheControls(value: unknown): number {
  if (!Array.isArray(value)) return 0;
  let count = 0;
  for (const item of value as Json[]) {
    if (item.cache_control !== undefined && item.cache_control !== null) count += 1;
    count += countCacheControls(item.content);
  }
  return count;
}
