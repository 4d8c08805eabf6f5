/** Limits as people write them, and what they may be. */
import { sessionNanos } from "../../../main/contract/cost/cost.ts";
import type { SessionFold } from "../../../main/contract/fold.ts";
import { cents, money } from "../../format/numbers.ts";

const NANOS_PER_CENT = 10_000_000;

/** Whole cents of an amount in dollars (`5`, `$5.50`); null when it is none. */
export function centsOf(text: string): number | null {
  const match = /^\$?\s*(\d{1,12})(?:\.(\d{1,2}))?$/.exec(text.trim());
  if (match === null) return null;
  return Number(match[1]) * 100 + Number((match[2] ?? "").padEnd(2, "0"));
}

/** What keeps a text from being the new limit; null when nothing does. */
export function limitProblem(text: string, fold: SessionFold, now: number): string | null {
  const amount = centsOf(text);
  if (amount === null) return "Write an amount in dollars, for example 5 or 0.50.";
  const spent = sessionNanos(fold, now);
  if (amount * NANOS_PER_CENT > spent) return null;
  return `The session has cost ${money(spent)} already. Write more than that.`;
}

/** What was spent and as much again as the limit was, in dollars: a limit to begin with. */
export function suggestedLimit(fold: SessionFold, now: number): string {
  const limit = Number(fold.budget?.max_list_cost.amount ?? 0);
  return cents(String(Math.ceil(sessionNanos(fold, now) / NANOS_PER_CENT) + limit)).slice(1);
}
