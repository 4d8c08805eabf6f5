/** Threads of other agents: a coordinator hands a task on, and both threads are told of it. */
import { describe, expect, test } from "vitest";
import { until } from "../../../product/serve.ts";
import { ASK } from "../../model_script.ts";
import { createAgent, createSession, eventsOf, MODEL, message, untilIdle } from "../../sessions.ts";
import { all, type Use, unique } from "../../stand.ts";

export function subagentFlows(use: Use): void {
  describe("threads of subagents", () => {
    test("a task is handed on, answered and told; the thread is read and archived", async () => {
      const { client } = use();
      const { threads } = client.beta.sessions;
      const helper = await createAgent(client);
      const coordinator = await client.beta.agents.create({
        name: unique("coordinator"),
        model: MODEL,
        multiagent: { type: "coordinator", agents: [helper.id] },
      });
      const { id: session_id } = await createSession(client, {
        agent: coordinator.id,
        initial_events: [message(ASK.delegate)],
      });
      await untilIdle(client, session_id);
      const types = (await eventsOf(client, session_id)).map(({ type }) => type);
      expect(types).toEqual(expect.arrayContaining(["session.thread_created", "agent.thread_message_sent"]));
      const child = await until("the thread of the subagent", async () =>
        (await all(threads.list(session_id))).find(({ parent_thread_id }) => parent_thread_id !== null),
      );
      await until(
        "the thread to rest",
        async () => (await threads.retrieve(child.id, { session_id })).status === "idle",
      );
      const own = (await all(threads.events.list(child.id, { session_id }))).map(({ type }) => type);
      expect(own).toEqual(expect.arrayContaining(["agent.thread_message_received", "agent.message"]));
      expect(await threads.archive(child.id, { session_id })).toMatchObject({ id: child.id, status: "terminated" });
    });
  });
}
