/** From a stored deployment to the times at which it fires. */
import { type CronExpression, parseCron } from "../../contract/cron/expression.ts";
import type { Schedule } from "../../contract/cron/occurrences.ts";
import type { DeploymentRecord } from "./port.ts";

/** The schedule if it fires by itself now. */
export function liveSchedule({ archived_at, paused_reason, schedule }: DeploymentRecord): Schedule | null {
  if (archived_at !== null || paused_reason !== null || schedule === null) return null;
  return { cron: parsed(schedule.expression), timezone: schedule.timezone };
}

const expressions = new Map<string, CronExpression>();

/** Parsed once: texts were checked when they were stored. */
function parsed(expression: string): CronExpression {
  const known = expressions.get(expression);
  if (known !== undefined) return known;
  const cron = parseCron(expression);
  if (expressions.size >= 1000) expressions.clear();
  expressions.set(expression, cron);
  return cron;
}
