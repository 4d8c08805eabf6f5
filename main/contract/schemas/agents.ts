/** Bodies of `POST /v1/agents` and `POST /v1/agents/{id}`. */
import { z } from "zod";
import { multiagent } from "./multiagent.ts";
import { description, metadata, metadataPatch } from "./primitives.ts";
import { mcpServers, tools } from "./tools.ts";

const effortLevel = z.enum(["low", "medium", "high", "xhigh", "max"]);

const modelConfig = z.strictObject({
  id: z.string().min(1).max(256),
  effort: z.union([effortLevel, z.strictObject({ type: effortLevel })]).nullish(),
  /** Both go to the endpoint as they are: only it knows which models and regions it has. */
  inference_geo: z.string().min(1).max(64).nullish(),
  speed: z.enum(["standard", "fast"]).nullish(),
});

export const model = z.union([z.string().min(1).max(256), modelConfig]);

const name = z.string().min(1).max(256);
const system = z.string().max(100_000).nullish();
const executionIdentity = z
  .strictObject({
    type: z.literal("service_account", {
      error:
        'must be "service_account": agents run on this machine with your own model endpoint, so there is no AWS role to run as',
    }),
  })
  .nullish();

const skillReference = { skill_id: z.string().min(1).max(128), version: z.string().min(1).max(128).nullish() };

export const MAX_SKILLS = 20;

export const skills = z
  .array(
    z.discriminatedUnion("type", [
      z.strictObject({ type: z.literal("custom"), ...skillReference }),
      z.strictObject({ type: z.literal("anthropic"), ...skillReference }),
    ]),
  )
  .max(MAX_SKILLS)
  .nullish();

export const agentCreate = z.strictObject({
  model,
  name,
  description,
  execution_identity: executionIdentity,
  mcp_servers: mcpServers.optional(),
  metadata: metadata.optional(),
  multiagent,
  skills,
  system,
  tools: tools.optional(),
});

export const agentUpdate = z.strictObject({
  model: model.optional(),
  name: name.optional(),
  description,
  execution_identity: executionIdentity,
  mcp_servers: mcpServers.nullish(),
  metadata: metadataPatch.nullish(),
  multiagent,
  skills,
  system,
  tools: tools.nullish(),
  version: z.int().min(1).optional(),
});

export type AgentCreate = z.output<typeof agentCreate>;
export type AgentUpdate = z.output<typeof agentUpdate>;
export type SkillsParams = z.output<typeof skills>;
export type ModelParams = z.output<typeof model>;
