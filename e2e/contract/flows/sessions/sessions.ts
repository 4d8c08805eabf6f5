/** `client.beta.sessions`: the resource itself; events, resources and threads have files of their own. */
import { describe, expect, test } from "vitest";
import { ASK } from "../../model_script.ts";
import { createAgent, createSession, message, send, untilEvent, untilIdle } from "../../sessions.ts";
import { all, refused, type Use, unique } from "../../stand.ts";

export function sessionFlows(use: Use): void {
  describe("sessions", () => {
    test("create, retrieve, update, list both ways, archive, delete", async () => {
      const { client } = use();
      const { sessions } = client.beta;
      const agent = await createAgent(client);
      const made = await createSession(client, { agent: agent.id, title: "One", metadata: { a: "1" } });
      expect(made).toMatchObject({
        status: "idle",
        title: "One",
        metadata: { a: "1" },
        agent: { id: agent.id, version: 1 },
      });
      expect(await sessions.retrieve(made.id)).toMatchObject({ id: made.id, status: "idle" });
      const updated = await sessions.update(made.id, { title: "Two", metadata: { b: "2" }, agent: { tools: [] } });
      expect(updated).toMatchObject({ title: "Two", metadata: { a: "1", b: "2" }, agent: { tools: [] } });
      const pinned = { type: "agent" as const, id: agent.id, version: 1 };
      const more = [await createSession(client, { agent: pinned }), await createSession(client, { agent: pinned })];
      const listed = await all(sessions.list({ agent_id: agent.id, limit: 1 }));
      expect(listed.map(({ id }) => id)).toEqual([more[1]?.id, more[0]?.id, made.id]);
      const first = await sessions.list({ agent_id: agent.id, limit: 2, order: "asc" });
      const second = await sessions.list({ agent_id: agent.id, limit: 2, order: "asc", page: first.next_page });
      expect([first.prev_page, second.next_page]).toEqual([null, null]);
      const back = await sessions.list({ agent_id: agent.id, limit: 2, order: "asc", page: second.prev_page });
      expect(back.data.map(({ id }) => id)).toEqual(first.data.map(({ id }) => id));
      expect(await sessions.archive(made.id)).toMatchObject({ status: "terminated", archived_at: expect.any(String) });
      expect((await all(sessions.list({ agent_id: agent.id }))).map(({ id }) => id)).not.toContain(made.id);
      expect(await sessions.delete(made.id)).toEqual({ id: made.id, type: "session_deleted" });
      await refused(sessions.retrieve(made.id), 404);
    });

    test("one with initial events runs at once; it is neither archived nor deleted while it runs", async () => {
      const { client } = use();
      const { sessions } = client.beta;
      const made = await createSession(client, { initial_events: [message(`${ASK.long} ${unique("")}`)] });
      expect(made.status).toBe("running");
      await untilEvent(client, made.id, "session.status_running");
      expect((await refused(sessions.delete(made.id), 400)).message).toContain("running");
      await refused(sessions.archive(made.id), 400);
      await send(client, made.id, { type: "user.interrupt" });
      await untilIdle(client, made.id);
      const { usage, stats } = await sessions.retrieve(made.id);
      expect(usage.input_tokens).toBeGreaterThanOrEqual(0);
      expect(stats.duration_seconds).toBeGreaterThanOrEqual(0);
      await sessions.archive(made.id);
    });

    test("refusals", async () => {
      const { client } = use();
      const { sessions } = client.beta;
      const made = await createSession(client);
      const { environment_id } = made;
      const agent = made.agent.id;
      await refused(sessions.create({ agent: "agent_none", environment_id }), 404);
      await refused(sessions.create({ agent, environment_id: "env_none" }), 404);
      expect((await refused(sessions.create({ agent } as never), 400)).message).toContain("environment_id");
      await refused(sessions.retrieve("sesn_none"), 404);
      await refused(sessions.update("sesn_none", { title: "x" }), 404);
      await refused(sessions.update(made.id, { vault_ids: ["vlt_1"] }), 400);
      expect((await refused(sessions.list({ limit: 0 }), 400)).message).toContain("limit");
      await refused(sessions.list({ page: "no cursor" }), 400);
      await refused(sessions.archive("sesn_none"), 404);
      await refused(sessions.delete("sesn_none"), 404);
      await sessions.archive(made.id);
      await refused(sessions.update(made.id, { title: "x" }), 400);
    });
  });
}
