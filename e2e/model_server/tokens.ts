/** A stand-in for the tokenizer: about four characters of JSON per token, and never zero. */

const CHARS_PER_TOKEN = 4;

/** Tokens of one piece of a request or a response. `cache_control` is not part of the prompt. */
export function tokensOf(value: unknown): number {
  const json = typeof value === "string" ? value : promptJson(value);
  return Math.ceil(json.length / CHARS_PER_TOKEN);
}

/** JSON of a block as the model sees it: breakpoints change nothing of the prompt. */
export function promptJson(value: unknown): string {
  return JSON.stringify(value, (key, item: unknown) => (key === "cache_control" ? undefined : item)) ?? "";
}

/** Tokens of the whole prompt: tools, system and messages. */
export function estimateTokens(request: Record<string, unknown>): number {
  let sum = 0;
  for (const block of promptBlocks(request)) sum += block.tokens;
  return sum;
}

export interface PromptBlock {
  json: string;
  tokens: number;
  breakpoint: "5m" | "1h" | null;
}

/** The prompt in the order in which it is cached: tools, system, then the blocks of every message. */
export function promptBlocks(request: Record<string, unknown>): PromptBlock[] {
  const blocks: PromptBlock[] = [];
  const add = (value: unknown, prefix: string): void => {
    const control = (value as { cache_control?: { ttl?: "5m" | "1h" } | null }).cache_control;
    blocks.push({
      json: prefix + promptJson(value),
      tokens: tokensOf(value),
      breakpoint: control === undefined || control === null ? null : (control.ttl ?? "5m"),
    });
  };
  for (const tool of (request.tools as unknown[] | undefined) ?? []) add(tool, "tool:");
  const system = request.system as string | unknown[] | undefined;
  for (const part of typeof system === "string" ? [{ type: "text", text: system }] : (system ?? []))
    add(part, "system:");
  // Thinking and tool choice are part of what a cached message prefix depends on; tools and system survive a change.
  const mode = JSON.stringify([request.thinking ?? null, request.tool_choice ?? null]);
  for (const message of request.messages as { role: string; content: string | unknown[] }[]) {
    const parts = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
    for (const part of parts) add(part, `${message.role}:${mode}:`);
  }
  const automatic = request.cache_control as { ttl?: "5m" | "1h" } | null | undefined;
  const last = blocks.at(-1);
  if (automatic && last) last.breakpoint ??= automatic.ttl ?? "5m";
  return blocks;
}
