/** What a session costs at list price, and whether its budget is used up (contract.md §3.3). */
import type { Usage } from "../events.ts";
import type { SessionFold } from "../fold.ts";
import type { TokenPrice } from "./prices.ts";

/** Nano-dollars so far, at the prices that held when each request was made: a later price change rewrites no history. */
export interface Cost {
  nanos: number;
  /** Requests with tokens whose model had no price: with any, the cost is unknown. */
  unpriced: number;
}

export interface MonetaryAmount {
  /** Whole cents. */
  amount: string;
  currency: "USD";
}

export const NO_COST: Cost = { nanos: 0, unpriced: 0 };

const NANOS_PER_CENT = 10_000_000;
/** $0.08 an hour of running. */
const NANOS_PER_RUNNING_HOUR = 80_000_000;
const HOUR_MS = 3_600_000;
/** $10 for a thousand searches. */
const NANOS_PER_SEARCH = 10_000_000;

/** The cost after one more request. */
export function addCost(cost: Cost, usage: Usage, price: TokenPrice | null): Cost {
  const { input_tokens, output_tokens, cache_read_input_tokens, cache_creation_input_tokens } = usage;
  const tokens = input_tokens + output_tokens + cache_read_input_tokens + cache_creation_input_tokens;
  if (tokens === 0) return cost;
  if (price === null) return { ...cost, unpriced: cost.unpriced + 1 };
  const nanos =
    input_tokens * price.input +
    output_tokens * price.output +
    cache_read_input_tokens * price.cache_read +
    cache_creation_input_tokens * price.cache_write;
  return { ...cost, nanos: cost.nanos + nanos };
}

/** The cost after searches of the endpoint's web search tool. */
export function addSearches(cost: Cost, searches: number): Cost {
  return { ...cost, nanos: cost.nanos + searches * NANOS_PER_SEARCH };
}

/** Milliseconds that the session has been running, up to now. */
export function runningMs(
  { active_ms, running_since }: Pick<SessionFold, "active_ms" | "running_since">,
  now: number,
): number {
  return active_ms + (running_since === null ? 0 : Math.max(0, now - Date.parse(running_since)));
}

/** List cost of the session in nano-dollars: tokens, searches and running time. See {@link sessionCost} for unknown ones. */
export function sessionNanos(fold: SessionFold, now: number): number {
  return fold.cost.nanos + Math.round((runningMs(fold, now) * NANOS_PER_RUNNING_HOUR) / HOUR_MS);
}

/** List cost of the session; null while it cannot be told. */
export function sessionCost(fold: SessionFold, now: number): MonetaryAmount | null {
  return fold.cost.unpriced > 0 ? null : inCents(sessionNanos(fold, now));
}

/** List cost of one thread's tokens; null while it cannot be told. */
export function threadCost(cost: Cost): MonetaryAmount | null {
  return cost.unpriced > 0 ? null : inCents(cost.nanos);
}

function inCents(nanos: number): MonetaryAmount {
  return { amount: String(Math.round(nanos / NANOS_PER_CENT)), currency: "USD" };
}

/** True when no further model request may be made. */
export function budgetReached(fold: SessionFold, now: number): boolean {
  return fold.budget !== null && sessionNanos(fold, now) >= budgetNanos(fold.budget);
}

/** True when a limit would be reached already. */
export function isSpent(fold: SessionFold, budget: NonNullable<SessionFold["budget"]>, now: number): boolean {
  return sessionNanos(fold, now) >= budgetNanos(budget);
}

function budgetNanos(budget: NonNullable<SessionFold["budget"]>): number {
  return Number(budget.max_list_cost.amount) * NANOS_PER_CENT;
}
