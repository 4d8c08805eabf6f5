/** The rules of a session's budget (contract.md §3.3): only models with a price, only from the start, only upwards. */
import { isSpent } from "../../../contract/cost/cost.ts";
import { type PriceTable, priceOf } from "../../../contract/cost/prices.ts";
import { invalid } from "../../../contract/errors.ts";
import type { SessionAgent } from "../../../contract/events.ts";
import type { SessionFold } from "../../../contract/fold.ts";

type Budget = SessionFold["budget"];

/** Every model that the session can run must have a list price. @throws ApiError 400 `model_not_budgetable` */
export function checkBudgetable(prices: PriceTable, agent: SessionAgent): void {
  for (const { id: model, speed } of modelsOf(agent)) {
    if (speed === "fast") {
      invalid(
        `\`budget\`: what the fast mode of ${model} costs is not known here. Choose speed "standard", or leave the budget out.`,
        "model_not_budgetable",
      );
    }
    if (priceOf(prices, model) !== null) continue;
    invalid(
      `\`budget\`: the model ${JSON.stringify(model)} has no list price here, so its cost cannot be limited. Add its price to prices.json in the data directory, choose another model, or leave the budget out.`,
      "model_not_budgetable",
    );
  }
}

function modelsOf(agent: SessionAgent): SessionAgent["model"][] {
  const { multiagent } = agent;
  if (multiagent === null) return [agent.model];
  if (multiagent.type === "coordinator") {
    return [
      agent.model,
      ...multiagent.agents.map((each) => (each.type === "advisor" ? { id: each.model } : each.model)),
    ];
  }
  const { subagents, advisor } = multiagent;
  const members = subagents.type === "enabled" ? subagents.predefined_agents : [];
  return [
    agent.model,
    ...members.map(({ model }) => model),
    ...(advisor.type === "enabled" ? [{ id: advisor.model }] : []),
  ];
}

/**
 * The budget after an update.
 * @throws ApiError 400 `budget_create_only` for a session without one, `budget_not_raised` for a limit that is spent
 */
export function changedBudget(
  prices: PriceTable,
  fold: SessionFold,
  wanted: NonNullable<Budget> | null,
  now: number,
): Budget {
  if (wanted === null) return null;
  if (fold.budget === null) {
    invalid(
      "`budget` can only be set when a session is created; one that was removed cannot be set again.",
      "budget_create_only",
    );
  }
  if (isSpent(fold, wanted, now)) {
    invalid(
      "`budget.max_list_cost` must be above what the session has cost already (see its `usage.list_cost`). Choose a higher limit.",
      "budget_not_raised",
    );
  }
  checkBudgetable(prices, fold.agent);
  return wanted;
}
