/** Token numbers of the demo: estimated from sizes, with the prompt cache a session would have had. */
import { createHash } from "node:crypto";
import type { Usage } from "@anthropic-ai/sdk/resources/messages/messages";
import { blocksOf } from "./conversation.ts";

const CHARS_PER_TOKEN = 4;
const REMEMBERED_SESSIONS = 256;

interface Prefix {
  hash: string;
  /** Tokens up to and with this block. */
  tokens: number;
}

export const tokensIn = (value: unknown): number =>
  Math.max(1, Math.ceil(JSON.stringify(value).length / CHARS_PER_TOKEN));

/** Input tokens of a whole request. */
export function promptTokens(request: Record<string, unknown>): number {
  return prefixesOf(request).at(-1)?.tokens ?? 1;
}

/** Remembers, per session, the prompt of the last request, so that the next one reads the shared beginning from cache. */
export class DemoCache {
  readonly #seen = new Map<string, Prefix[]>();

  /** Input side of the usage of this request. */
  read(
    sessionId: string,
    request: Record<string, unknown>,
  ): Pick<Usage, "input_tokens" | "cache_read_input_tokens" | "cache_creation_input_tokens" | "cache_creation"> {
    const prefixes = prefixesOf(request);
    const total = prefixes.at(-1)?.tokens ?? 1;
    if (!JSON.stringify(request).includes('"cache_control"')) {
      return { input_tokens: total, cache_read_input_tokens: 0, cache_creation_input_tokens: 0, cache_creation: null };
    }
    const before = new Set((this.#seen.get(sessionId) ?? []).map((prefix) => prefix.hash));
    const read = prefixes.findLast((prefix) => before.has(prefix.hash))?.tokens ?? 0;
    this.#remember(sessionId, prefixes);
    const created = total - read;
    return {
      input_tokens: 0,
      cache_read_input_tokens: read,
      cache_creation_input_tokens: created,
      cache_creation: { ephemeral_5m_input_tokens: created, ephemeral_1h_input_tokens: 0 },
    };
  }

  #remember(sessionId: string, prefixes: Prefix[]): void {
    this.#seen.delete(sessionId);
    this.#seen.set(sessionId, prefixes);
    const oldest = this.#seen.keys().next().value;
    if (this.#seen.size > REMEMBERED_SESSIONS && oldest !== undefined) this.#seen.delete(oldest);
  }
}

/** Running hashes over tools, system and each block of the messages: the order in which prompts are cached. */
function prefixesOf(request: Record<string, unknown>): Prefix[] {
  const parts: unknown[] = [request.tools ?? [], request.system ?? ""];
  for (const message of request.messages as unknown[]) parts.push(...blocksOf(message));
  let hash = "";
  let tokens = 0;
  return parts.map((part) => {
    const json = JSON.stringify(part);
    hash = createHash("sha256").update(hash).update(json).digest("base64");
    tokens += Math.ceil(json.length / CHARS_PER_TOKEN);
    return { hash, tokens };
  });
}
