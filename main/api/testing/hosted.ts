/** A self-hosted session in a served API, with clients that hold a worker's credentials. */
import Anthropic from "@anthropic-ai/sdk";
import type { BetaSelfHostedWork } from "@anthropic-ai/sdk/resources/beta/environments/work";
import type { SessionSnapshot } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import type { Rig } from "./rig.ts";

/** The official SDK with a worker's credential, as its own helpers use it. */
export function workerClient(rig: Rig, authToken: string): Anthropic {
  return new Anthropic({ baseURL: rig.url, apiKey: null, authToken, maxRetries: 0 });
}

export async function hostedEnvironment(rig: Rig): Promise<{ id: string; key: string; client: Anthropic }> {
  const name = `hosted ${newId("environment")}`;
  const { id } = await rig.client.beta.environments.create({ name, config: { type: "self_hosted" } });
  const answer = await rig.request(`/longhaul/v1/environments/${id}/keys`, { method: "POST" });
  const { value } = (await answer.json()) as { value: string };
  return { id, key: value, client: workerClient(rig, value) };
}

export async function hostedSession(rig: Rig, environmentId: string): Promise<string> {
  const agent = await rig.client.beta.agents.create({
    name: "a",
    model: "claude-opus-5-5",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  return (await rig.client.beta.sessions.create({ agent: agent.id, environment_id: environmentId })).id;
}

/** A session that has a skill and two memory stores, whichever routes make those. */
export async function equippedSession(rig: Rig, environmentId: string): Promise<string> {
  const plain = await rig.ledger.getSession(await hostedSession(rig, environmentId));
  if (plain === null) throw new Error("the session was not made");
  const { agent, environment, vault_ids } = plain.fold;
  const session: SessionSnapshot = {
    agent: { ...agent, skills: [{ type: "custom", skill_id: "skill_own", version: "1" }] },
    environment,
    primary_thread_id: newId("thread"),
    title: null,
    metadata: {},
    resources: [
      { type: "memory_store", memory_store_id: "memstore_own", access: "read_write" },
      { type: "memory_store", memory_store_id: "memstore_read", access: "read_only" },
    ],
    vault_ids,
    budget: null,
    deployment_id: null,
  };
  const id = newId("session");
  await rig.ledger.createSession(id, [{ type: "longhaul.session_created", session }]);
  await rig.client.beta.sessions.delete(plain.id);
  return id;
}

/** The token in the secret of a polled item. */
export function tokenOf(work: BetaSelfHostedWork): string {
  const secret = JSON.parse(Buffer.from(work.secret ?? "", "base64url").toString()) as { sessions_token: string };
  return secret.sessions_token;
}
