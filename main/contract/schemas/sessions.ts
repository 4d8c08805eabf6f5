/** Bodies of `POST /v1/sessions` and `POST /v1/sessions/{id}`. */
import { z } from "zod";
import { PUSH_KEY, PUSH_POLICIES } from "../vaults/repositories.ts";
import { model, skills } from "./agents.ts";
import { hasOneOutcome, MAX_INITIAL_EVENTS, ONE_OUTCOME, userDefineOutcome, userMessage } from "./events.ts";
import { metadata, metadataPatch } from "./primitives.ts";
import { resources } from "./resources.ts";
import { mcpServers, tools } from "./tools.ts";

const agentId = z.string().min(1).max(128);
const version = z.int().min(1).optional();

const agentWithOverrides = z.strictObject({
  type: z.literal("agent_with_overrides"),
  id: agentId,
  version,
  mcp_servers: mcpServers.nullish(),
  /** null is read here and refused with the contract's own error code. */
  model: model.nullish(),
  skills,
  system: z.string().max(100_000).nullish(),
  tools: tools.nullish(),
});

const agent = z.union([
  agentId,
  z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("agent"), id: agentId, version }),
    agentWithOverrides,
  ]),
]);

/** `longhaul.push` says what becomes of the session's pushes; null in a patch deletes it. */
const hasPushPolicy = (bag: Record<string, unknown>): boolean =>
  bag[PUSH_KEY] == null || PUSH_POLICIES.some((policy) => policy === bag[PUSH_KEY]);
const PUSH_RULE = `${PUSH_KEY} must be ${PUSH_POLICIES.map((policy) => JSON.stringify(policy)).join(", ")}`;

const title = z.string().max(1000).nullish();
/** Order counts: of two vaults that know the same server, the first one is used. */
export const vaultIds = z.array(z.string().min(1).max(128)).max(100);

/** Whole cents; at most what every sum of costs holds exactly. */
const budget = z.strictObject({
  type: z.literal("limit"),
  max_list_cost: z.strictObject({
    amount: z
      .string()
      .regex(/^[1-9]\d{0,7}$/, 'must be a whole number of cents as text, for example "2500" for $25.00'),
    currency: z.literal("USD"),
  }),
});

export const sessionCreate = z.strictObject({
  agent,
  environment_id: z.string().min(1).max(128),
  budget: budget.nullish(),
  initial_events: z
    .array(z.discriminatedUnion("type", [userMessage, userDefineOutcome]))
    .max(MAX_INITIAL_EVENTS)
    .refine(hasOneOutcome, ONE_OUTCOME)
    .optional(),
  metadata: metadata.refine(hasPushPolicy, PUSH_RULE).optional(),
  resources: resources.optional(),
  title,
  vault_ids: vaultIds.optional(),
});

export const sessionUpdate = z.strictObject({
  agent: z.strictObject({ mcp_servers: mcpServers.optional(), tools: tools.optional() }).optional(),
  budget: budget.nullish(),
  metadata: metadataPatch.refine(hasPushPolicy, PUSH_RULE).nullish(),
  title,
  vault_ids: z.undefined({ error: "cannot be changed: vaults are chosen when the session is created" }).optional(),
});

export type SessionCreate = z.output<typeof sessionCreate>;
export type SessionUpdate = z.output<typeof sessionUpdate>;
export type AgentOverrides = z.output<typeof agentWithOverrides>;
