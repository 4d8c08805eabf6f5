/** The `multiagent` configuration of an agent, in both of the contract's forms. */
import { z } from "zod";

const agentId = z.string().min(1).max(128);
const reference = z.strictObject({ type: z.literal("agent"), id: agentId, version: z.int().min(1).nullish() });
const self = z.strictObject({ type: z.literal("self") });
const advisorModel = z.string().min(1).max(256);

const predefined = z.union([agentId, z.discriminatedUnion("type", [reference, self])]);

const rosterEntry = z.union([
  agentId,
  z.discriminatedUnion("type", [reference, self, z.strictObject({ type: z.literal("advisor"), model: advisorModel })]),
]);

const coordinator = z.strictObject({
  type: z.literal("coordinator"),
  agents: z.array(rosterEntry).min(1).max(20),
});

const disabled = z.strictObject({ type: z.literal("disabled") });
const onOff = z.discriminatedUnion("type", [z.strictObject({ type: z.literal("enabled") }), disabled]).nullish();

const spawning = z
  .discriminatedUnion("type", [
    z.strictObject({
      type: z.literal("enabled"),
      inline_agents: onOff,
      predefined_agents: z.array(predefined).max(20).nullish(),
    }),
    disabled,
  ])
  .nullish();

const threeMembers = z.strictObject({
  type: z.literal("multiagent_20261001"),
  advisor: z
    .discriminatedUnion("type", [z.strictObject({ type: z.literal("enabled"), model: advisorModel }), disabled])
    .nullish(),
  subagents: spawning,
  workflows: spawning,
});

export const multiagent = z.discriminatedUnion("type", [coordinator, threeMembers]).nullish();

export type MultiagentParams = NonNullable<z.output<typeof multiagent>>;
export type RosterEntryParams = z.output<typeof rosterEntry>;
export type SpawningParams = NonNullable<z.output<typeof spawning>>;
