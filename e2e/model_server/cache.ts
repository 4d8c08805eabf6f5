/** The prompt cache: prefixes hashed block by block, written at breakpoints, found up to 20 blocks before one. */
import { createHash } from "node:crypto";
import { promptBlocks } from "./tokens.ts";

const LOOKBACK_BLOCKS = 20;
const TTL_MS = { "5m": 5 * 60_000, "1h": 60 * 60_000 } as const;

export interface CacheUsage {
  input_tokens: number;
  cache_read_input_tokens: number;
  cache_creation_input_tokens: number;
  cache_creation: { ephemeral_5m_input_tokens: number; ephemeral_1h_input_tokens: number };
}

interface Entry {
  expires: number;
  ttl: "5m" | "1h";
}

export class PromptCache {
  readonly #entries = new Map<string, Entry>();
  readonly #minTokens: number;
  readonly #now: () => number;

  /** @param minTokens shorter prefixes are not cached, as on the real models */
  constructor(minTokens: number, now: () => number) {
    this.#minTokens = minTokens;
    this.#now = now;
  }

  /** Usage of this request, as if it were answered now; writes and refreshes entries. */
  use(request: Record<string, unknown>, owner: string): CacheUsage {
    const blocks = promptBlocks(request);
    const hashes: string[] = [];
    const upTo: number[] = [];
    let hash = `${owner}\n${String(request.model)}`;
    let sum = 0;
    for (const block of blocks) {
      hash = createHash("sha256").update(hash).update("\n").update(block.json).digest("hex");
      sum += block.tokens;
      hashes.push(hash);
      upTo.push(sum);
    }
    const read = this.#longestHit(blocks, hashes, upTo);
    let written = read;
    const creation = { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 };
    blocks.forEach((block, i) => {
      const tokens = upTo[i] ?? 0;
      if (block.breakpoint === null || tokens < this.#minTokens) return;
      this.#entries.set(hashes[i] ?? "", { ttl: block.breakpoint, expires: this.#now() + TTL_MS[block.breakpoint] });
      if (tokens <= written) return;
      creation[`ephemeral_${block.breakpoint}_input_tokens`] += tokens - written;
      written = tokens;
    });
    return {
      input_tokens: sum - written,
      cache_read_input_tokens: read,
      cache_creation_input_tokens: written - read,
      cache_creation: creation,
    };
  }

  #longestHit(
    blocks: readonly { breakpoint: string | null }[],
    hashes: readonly string[],
    upTo: readonly number[],
  ): number {
    for (let at = blocks.length - 1; at >= 0; at--) {
      if (blocks[at]?.breakpoint == null) continue;
      for (let i = at; i >= Math.max(0, at - LOOKBACK_BLOCKS + 1); i--) {
        const entry = this.#entries.get(hashes[i] ?? "");
        if (entry === undefined || entry.expires <= this.#now()) continue;
        entry.expires = this.#now() + TTL_MS[entry.ttl];
        return upTo[i] ?? 0;
      }
    }
    return 0;
  }
}
