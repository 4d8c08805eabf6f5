/** Bodies of `POST /v1/deployments` and `POST /v1/deployments/{id}`. */
import { z } from "zod";
import { CronSyntaxError, parseCron } from "../cron/expression.ts";
import { nextOccurrence } from "../cron/occurrences.ts";
import { isTimeZone } from "../cron/wall_clock.ts";
import {
  hasOneOutcome,
  MAX_INITIAL_EVENTS,
  ONE_OUTCOME,
  systemMessage,
  userDefineOutcome,
  userMessage,
} from "./events.ts";
import { description, metadata, metadataPatch } from "./primitives.ts";
import { resources } from "./resources.ts";
import { sessionCreate } from "./sessions.ts";

/** No overrides: a deployment runs an agent as it is at one version. */
const agent = z.union([
  z.string().min(1).max(128),
  z.strictObject({ type: z.literal("agent"), id: z.string().min(1).max(128), version: z.int().min(1).optional() }),
]);

const name = z.string().min(1).max(256);
const environmentId = z.string().min(1).max(128);
const vaultIds = z.array(z.string().min(1).max(128)).max(50);
const { budget } = sessionCreate.shape;

/** What a session may begin with, and the system's messages; at least one of them must be work for the agent. */
const initialEvents = z
  .array(z.discriminatedUnion("type", [userMessage, userDefineOutcome, systemMessage]))
  .min(1)
  .max(MAX_INITIAL_EVENTS)
  .refine(hasOneOutcome, ONE_OUTCOME)
  .refine(endsWithSystemMessage, {
    error: "may end with one system.message, which must immediately follow the user.message it accompanies",
  });

function endsWithSystemMessage(events: readonly { type: string }[]): boolean {
  const index = events.findIndex(({ type }) => type === "system.message");
  return index === -1 || (index === events.length - 1 && events[index - 1]?.type === "user.message");
}

const expression = z.string().check((context) => {
  const problem = cronProblem(context.value);
  if (problem !== null) context.issues.push({ code: "custom", message: problem, input: context.value });
});

const timezone = z
  .string()
  .refine(isTimeZone, 'must be a name of the IANA time zone database, for example "Europe/Berlin" or "UTC"');

export const schedule = z.strictObject({ type: z.literal("cron"), expression, timezone });

export const deploymentCreate = z.strictObject({
  agent,
  environment_id: environmentId,
  initial_events: initialEvents,
  name,
  budget,
  description,
  metadata: metadata.optional(),
  resources: resources.optional(),
  schedule: schedule.nullish(),
  vault_ids: vaultIds.optional(),
});

export const deploymentUpdate = z.strictObject({
  agent: agent.optional(),
  environment_id: environmentId.optional(),
  initial_events: initialEvents.optional(),
  name: name.optional(),
  budget,
  description,
  metadata: metadataPatch.nullish(),
  resources: resources.nullish(),
  schedule: schedule.nullish(),
  vault_ids: vaultIds.nullish(),
});

export type DeploymentCreate = z.output<typeof deploymentCreate>;
export type DeploymentUpdate = z.output<typeof deploymentUpdate>;
export type CronSchedule = z.output<typeof schedule>;

function cronProblem(text: string): string | null {
  try {
    const cron = parseCron(text);
    const comes = nextOccurrence({ cron, timezone: "UTC" }, Date.now()) !== null;
    return comes ? null : "names a day that no calendar has, such as the 30th of February";
  } catch (error) {
    if (error instanceof CronSyntaxError) return error.message;
    throw error;
  }
}
