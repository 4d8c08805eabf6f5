/** List prices of models: the built-in table, and the person's own, which goes first. */
import { z } from "zod";

/** Price of one token of each kind in nano-dollars (10⁻⁹ $): whole numbers, so that sums never drift. */
export interface TokenPrice {
  input: number;
  output: number;
  cache_read: number;
  /** Of a cache entry that lives five minutes, the only kind that is written. */
  cache_write: number;
}

/** Model id → price. */
export type PriceTable = Readonly<Record<string, TokenPrice>>;

/** Dollars per million tokens are thousands of nano-dollars per token; a cache hit costs a tenth, a write a quarter more. */
function perMillion(input: number, output: number): TokenPrice {
  const nanos = (dollars: number): number => Math.round(dollars * 1000);
  return {
    input: nanos(input),
    output: nanos(output),
    cache_read: nanos(input / 10),
    cache_write: nanos(input * 1.25),
  };
}

/**
 * Public list prices as Anthropic's pricing page gave them in mid-2026. Models that are not here have no price until the
 * person's `prices.json` names one: a guessed price would let a budget be overspent.
 */
export const LIST_PRICES: PriceTable = {
  "claude-opus-4-8": perMillion(5, 25),
  "claude-opus-4-7": perMillion(5, 25),
  "claude-opus-4-6": perMillion(5, 25),
  "claude-opus-4-5": perMillion(5, 25),
  "claude-opus-4-1": perMillion(15, 75),
  "claude-sonnet-4-6": perMillion(3, 15),
  "claude-sonnet-4-5": perMillion(3, 15),
  "claude-sonnet-4": perMillion(3, 15),
  "claude-haiku-4-5": perMillion(1, 5),
  "longhaul-demo": perMillion(0, 0),
};

const dollars = z.number().min(0).max(1_000_000);

/** `prices.json`: dollars per million tokens by model id. What is left out of an entry follows from its input price. */
export const pricesFile = z.record(
  z.string().min(1).max(256),
  z.strictObject({
    input: dollars,
    output: dollars,
    cache_read: dollars.optional(),
    cache_write: dollars.optional(),
  }),
);

export function tableOf(file: z.output<typeof pricesFile>): PriceTable {
  const entries = Object.entries(file).map(([model, { input, output, cache_read, cache_write }]) => {
    const price = perMillion(input, output);
    if (cache_read !== undefined) price.cache_read = Math.round(cache_read * 1000);
    if (cache_write !== undefined) price.cache_write = Math.round(cache_write * 1000);
    return [model, price] as const;
  });
  return Object.fromEntries(entries);
}

/** The price of a model by its id, or by its id without the date of a snapshot; null when there is none. */
export function priceOf(table: PriceTable, model: string): TokenPrice | null {
  const own = (id: string) => (Object.hasOwn(table, id) ? (table[id] ?? null) : null);
  return own(model) ?? own(model.replace(/-\d{8}$/, ""));
}
