/** `client.beta.sessions.threads` and `.threads.events`: the primary thread; those of other agents are in `subagents.ts`. */
import { describe, expect, test } from "vitest";
import { createSession, message, readUntil, send, untilIdle } from "../../sessions.ts";
import { all, refused, type Use } from "../../stand.ts";

export function threadFlows(use: Use): void {
  describe("threads", () => {
    test("the primary thread: list, retrieve, events, stream", async () => {
      const { client } = use();
      const { threads } = client.beta.sessions;
      const { id: session_id } = await createSession(client);
      const [primary, ...others] = await all(threads.list(session_id));
      if (primary === undefined) throw new Error("there is no primary thread");
      expect(others).toEqual([]);
      expect(primary).toMatchObject({ parent_thread_id: null, session_id, status: "idle" });
      expect(await threads.retrieve(primary.id, { session_id })).toMatchObject({ id: primary.id });
      const stream = await threads.events.stream(primary.id, { session_id });
      await send(client, session_id, message("Hello."));
      const streamed = (await readUntil(stream as never, "session.thread_status_idle")).map(({ type }) => type);
      expect(streamed).toContain("agent.message");
      await untilIdle(client, session_id);
      const listed = (await all(threads.events.list(primary.id, { session_id, limit: 1 }))).map(({ type }) => type);
      expect(listed).toEqual(expect.arrayContaining(["user.message", "agent.message", "session.thread_status_idle"]));
    });

    test("refusals", async () => {
      const { client } = use();
      const { threads } = client.beta.sessions;
      const { id: session_id } = await createSession(client);
      const [primary] = await all(threads.list(session_id));
      const none = "sthr_none";
      await refused(threads.list("sesn_none"), 404);
      await refused(threads.list(session_id, { statuses: ["x" as never] } as never), 400);
      await refused(threads.retrieve(none, { session_id }), 404);
      await refused(threads.archive(none, { session_id }), 404);
      await refused(threads.archive(primary?.id ?? "", { session_id }), 400);
      await refused(threads.events.list(none, { session_id }), 404);
      await refused(threads.events.stream(none, { session_id }), 404);
    });
  });
}
