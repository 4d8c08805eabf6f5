import { useId, useState } from "react";
import { sessionNanos } from "../../../main/contract/cost/cost.ts";
import type { SessionFold } from "../../../main/contract/fold.ts";
import { cents, money } from "../../format/numbers.ts";
import { changeBudget } from "../../store/actions.ts";
import { Button } from "../../ui/button.tsx";
import { Dialog } from "../../ui/dialog.tsx";
import { centsOf, limitProblem, suggestedLimit } from "./amount.ts";

interface BudgetDialogProps {
  fold: SessionFold;
  open: boolean;
  onClose: () => void;
}

/** Asks for a new limit of what the session may cost, or takes the limit away. */
export function BudgetDialog({ fold, open, onClose }: BudgetDialogProps) {
  return (
    <Dialog open={open} onClose={onClose} title="Change the budget" testId="budget-dialog">
      <BudgetForm fold={fold} onClose={onClose} />
    </Dialog>
  );
}

function BudgetForm({ fold, onClose }: Omit<BudgetDialogProps, "open">) {
  const [value, setValue] = useState(() => suggestedLimit(fold, Date.now()));
  const [problem, setProblem] = useState<string | null>(null);
  const explained = useId();
  const change = (amount: string | null): void => {
    onClose();
    void changeBudget(fold.session_id, amount);
  };
  const limit = fold.budget === null ? "" : ` of ${cents(fold.budget.max_list_cost.amount)}`;
  return (
    <form
      className="space-y-4 p-4"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const found = limitProblem(value, fold, Date.now());
        setProblem(found);
        if (found === null) change(String(centsOf(value)));
      }}
    >
      <p className="text-ink-2">
        It has cost {money(sessionNanos(fold, Date.now()))}
        {limit} at list price. Work that was stopped goes on at once.
      </p>
      <label className="block space-y-1">
        <span className="text-ink-2">New limit in dollars</span>
        <input
          value={value}
          inputMode="decimal"
          maxLength={16}
          onChange={(event) => setValue(event.target.value)}
          aria-invalid={problem !== null}
          aria-describedby={explained}
          data-testid="budget-limit"
          className="num h-8 w-full rounded border border-line-strong bg-raised px-2"
        />
        <span id={explained} role="alert" className="block text-small text-bad">
          {problem}
        </span>
      </label>
      <div className="flex flex-wrap justify-end gap-2">
        <Button
          onClick={() => change(null)}
          title="For good: a budget that was removed cannot be set again"
          data-testid="budget-remove"
        >
          Remove the limit for good
        </Button>
        <span className="flex-1" />
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="primary" data-testid="budget-set">
          Set the limit
        </Button>
      </div>
    </form>
  );
}
