/** Sessions that follow a plan: commands one after the other, and waits in which the test does something to the sandbox. */
import type { BetaLimitedNetworkParams } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import { expect } from "vitest";
import type { StoredEvent } from "../../main/contract/events.ts";
import type { Reply, ScriptRequest } from "../model_server/script.ts";
import type { ModelServer } from "../model_server/server.ts";
import type { Product } from "../product/serve.ts";
import { eventsOf, problemsIn, summaryOf, untilRests } from "../product/sessions.ts";

/** A command; or what happens before the next one, which it gives. `null` ends the turn. */
export type Act = string | (() => Promise<string | null>);

export interface Result {
  text: string;
  is_error: boolean;
}

const LIMITED: BetaLimitedNetworkParams = {
  type: "limited",
  allowed_hosts: [],
  allow_mcp_servers: false,
  allow_package_managers: false,
};

export class Plans {
  readonly #plans = new Map<string, Act[]>();
  product!: Product;
  model!: ModelServer;

  readonly script = async (request: ScriptRequest): Promise<Reply> => {
    const name = /plan-\d+/.exec(JSON.stringify(request.body.messages[0]))?.[0] ?? "";
    const act = this.#plans.get(name)?.[request.turn];
    const command = typeof act === "function" ? await act() : act;
    if (command === undefined || command === null) return { content: [{ type: "text", text: "I am done." }] };
    return { content: [{ type: "tool_use", name: "bash", input: { command } }] };
  };

  /** Starts a session that follows the plan; `metadata` are sandbox settings. */
  async start(
    plan: Act[],
    metadata: Record<string, string> = {},
    limited = false,
    resources: object[] = [],
  ): Promise<string> {
    const name = `plan-${this.#plans.size}`;
    this.#plans.set(name, plan);
    const { beta } = this.product.client;
    const permission_policy = { type: "always_allow" as const };
    const agent = await beta.agents.create({
      name,
      model: "claude-sonnet-5-5",
      tools: [{ type: "agent_toolset_20260401", default_config: { enabled: true, permission_policy } }],
    });
    const config = limited ? { config: { type: "cloud" as const, networking: LIMITED } } : {};
    const environment = await beta.environments.create({ name, metadata, ...config });
    const session = await beta.sessions.create({
      agent: agent.id,
      environment_id: environment.id,
      // Our own resource type is not in the SDK's union.
      resources: resources as never,
      initial_events: [{ type: "user.message", content: [{ type: "text", text: name }] }],
    });
    return session.id;
  }

  async say(id: string, text: string): Promise<void> {
    await this.product.client.beta.sessions.events.send(id, {
      events: [{ type: "user.message", content: [{ type: "text", text }] }],
    });
  }

  /** Waits until the session rests and checks what must hold whatever happened. Returns its tool results. */
  async atRest(id: string): Promise<Result[]> {
    await untilRests(this.product, id, 90_000);
    const events = await eventsOf(this.product, id);
    expect(problemsIn(events)).toEqual([]);
    expect((await summaryOf(this.product, id)).fold.stop_reason).toEqual({ type: "end_turn" });
    expect(this.model.requests.filter((request) => request.rejected !== null)).toEqual([]);
    return events.flatMap(({ event }) => {
      if (event.type !== "agent.tool_result") return [];
      const block = event.content?.[0];
      return [{ text: block?.type === "text" ? block.text : "", is_error: event.is_error === true }];
    });
  }

  /** The session's events of one type. */
  async of<T extends StoredEvent["event"]["type"]>(id: string, type: T) {
    return (await eventsOf(this.product, id)).flatMap(({ event }) =>
      event.type === type ? [event as Extract<StoredEvent["event"], { type: T }>] : [],
    );
  }
}
