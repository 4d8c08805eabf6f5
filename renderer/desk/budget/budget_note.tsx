import { useState } from "react";
import { sessionNanos } from "../../../main/contract/cost/cost.ts";
import type { SessionSummary } from "../../../main/contract/local_api.ts";
import { cents, money } from "../../format/numbers.ts";
import { useActions } from "../../store/actions.ts";
import { needsBudget } from "../../store/groups.ts";
import { Button } from "../../ui/button.tsx";
import { BudgetDialog } from "./budget_dialog.tsx";

/** Says that the budget is used up, and what lets the agent go on. */
export function BudgetNote({ summary, live }: { summary: SessionSummary; live: boolean }) {
  const [open, setOpen] = useState(false);
  const busy = useActions((state) => state.busy.has(`budget ${summary.id}`));
  const { fold } = summary;
  if (fold.budget === null || !needsBudget(summary)) return null;
  return (
    <section
      aria-label="Budget"
      data-testid="budget-note"
      className="mx-3 mb-2 flex shrink-0 items-center gap-3 rounded-lg border border-accent-line bg-accent-soft px-3 py-2"
    >
      <span className="size-2 shrink-0 rotate-45 bg-accent" aria-hidden />
      <div className="min-w-0 flex-1">
        <h2 className="font-semibold">The budget is reached</h2>
        <p className="text-small text-ink-2">
          It has cost {money(sessionNanos(fold, Date.now()))} of {cents(fold.budget.max_list_cost.amount)}.{" "}
          {summary.work === "stopped" ? "The agent goes on where it stopped" : "The agent takes new work"} once the
          limit is higher.
        </p>
      </div>
      <Button look="primary" disabled={busy || !live} onClick={() => setOpen(true)} data-testid="raise-budget">
        Raise budget…
      </Button>
      <BudgetDialog fold={fold} open={open} onClose={() => setOpen(false)} />
    </section>
  );
}
