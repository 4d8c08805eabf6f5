/** `client.beta.sessions.events`: turns of a real session, read from the stream and from the history. */
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { describe, expect, test } from "vitest";
import { ASK } from "../../model_script.ts";
import { createSession, eventsOf, LOOKUP, message, readUntil, send, untilEvent, untilIdle } from "../../sessions.ts";
import { all, refused, type Use, unique } from "../../stand.ts";

export function eventFlows(use: Use): void {
  describe("events", () => {
    test("a turn with a command, on the stream and in the list", async () => {
      const { client } = use();
      const { events } = client.beta.sessions;
      const { id } = await createSession(client);
      const stream = await events.stream(id, { event_deltas: ["agent.message"] });
      const sent = await send(client, id, message(`${ASK.command}echo hello`));
      expect(sent.data).toMatchObject([{ type: "user.message", id: expect.stringMatching(/^sevt_/) }]);
      const streamed = await readUntil(stream, "session.status_idle");
      const types = streamed.map(({ type }) => type);
      for (const type of [
        "event_start",
        "event_delta",
        "agent.message",
        "agent.tool_use",
        "agent.tool_result",
        "session.usage",
      ]) {
        expect(types).toContain(type);
      }
      expect(types.indexOf("session.usage")).toBe(types.indexOf("session.status_idle") - 1);
      const listed = await eventsOf(client, id);
      expect(listed.find(({ type }) => type === "agent.tool_result")).toMatchObject({
        content: [{ type: "text", text: "hello" }],
      });
      const some = await all(events.list(id, { types: ["agent.message", "user.message"], order: "desc", limit: 1 }));
      expect(some.map(({ type }) => type)).toEqual(["agent.message", "user.message"]);
    });

    test("what the model thinks is an event; a confirmation lets a command run or not", async () => {
      const { client } = use();
      const { id } = await createSession(client, { policy: "always_ask", initial_events: [message(ASK.thinking)] });
      await untilEvent(client, id, "agent.thinking");
      await untilIdle(client, id);
      for (const [at, result] of ["allow", "deny"].entries()) {
        await send(client, id, message(`${ASK.command}echo ${result}`));
        const { stop_reason } = await untilEvent(client, id, "session.status_idle", 2 + 2 * at);
        expect(stop_reason.type).toBe("requires_action");
        const tool_use_id = stop_reason.type === "requires_action" ? (stop_reason.event_ids[0] ?? "") : "";
        await send(client, id, { type: "user.tool_confirmation", tool_use_id, result: result as "allow" | "deny" });
        await untilIdle(client, id, 3 + 2 * at);
      }
      const results = (await eventsOf(client, id)).filter(({ type }) => type === "agent.tool_result");
      expect(results).toMatchObject([{ content: [{ text: "allow" }] }, { is_error: true }]);
    });

    test("a tool of the client is answered by hand", async () => {
      const { client } = use();
      const { id } = await createSession(client, { initial_events: [message(ASK.lookup)] });
      const { id: custom_tool_use_id, name } = await untilEvent(client, id, "agent.custom_tool_use");
      expect(name).toBe("lookup");
      await untilEvent(client, id, "session.status_idle");
      await send(client, id, {
        type: "user.custom_tool_result",
        custom_tool_use_id,
        content: [{ type: "text", text: "sunny" }],
      });
      await untilIdle(client, id, 2);
      expect((await eventsOf(client, id)).findLast(({ type }) => type === "agent.message")).toMatchObject({
        content: [{ text: "Done: sunny" }],
      });
    });

    test("the SDK's tool runner answers it until the session rests", async () => {
      const { client } = use();
      const { id } = await createSession(client);
      const { type: _, ...schema } = LOOKUP;
      const lookup = betaTool({
        name: schema.name,
        description: schema.description,
        inputSchema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } as const,
        run: ({ city }) => `rain in ${city}`,
      });
      const runner = client.beta.sessions.events.toolRunner(id, { tools: [lookup], maxIdleMs: 200 });
      await send(client, id, message(ASK.lookup));
      const calls: string[] = [];
      for await (const call of runner) calls.push(`${call.name} ${call.isError} ${call.posted}`);
      expect(calls).toEqual(["lookup false true"]);
      await untilIdle(client, id, 2);
      const gone = client.beta.sessions.events.toolRunner("sesn_none", { tools: [lookup], maxIdleMs: 200 });
      // It ends without a word: its reader sees no call.
      expect(await all(gone)).toEqual([]);
    });

    test("an interrupt ends the turn", async () => {
      const { client } = use();
      const { id } = await createSession(client, { initial_events: [message(`${ASK.long} ${unique("")}`)] });
      await untilEvent(client, id, "span.model_request_start");
      await send(client, id, { type: "user.interrupt" });
      await untilIdle(client, id);
      expect((await untilEvent(client, id, "session.status_idle")).stop_reason).toEqual({ type: "end_turn" });
    });

    test("an overloaded model is tried again; what it refuses is an error of the session", async () => {
      const { client } = use();
      const errors = async (text: string) => {
        const { id } = await createSession(client, { initial_events: [message(text)] });
        await untilIdle(client, id);
        return (await eventsOf(client, id)).flatMap((event) =>
          event.type === "session.error"
            ? [`${event.error.type} ${event.error.retry_status.type}`]
            : event.type === "session.status_rescheduled"
              ? [event.type]
              : [],
        );
      };
      expect(await errors(`${ASK.overloaded} ${unique("")}`)).toEqual([
        "model_overloaded_error retrying",
        "session.status_rescheduled",
      ]);
      expect(await errors(ASK.refused)).toEqual(["model_request_failed_error exhausted"]);
    });

    test("updating, archiving and deleting are told on the stream", async () => {
      const { client } = use();
      const { sessions } = client.beta;
      const { id } = await createSession(client);
      const stream = await sessions.events.stream(id);
      await sessions.update(id, { title: "New" });
      await sessions.archive(id);
      await sessions.delete(id);
      const types = (await readUntil(stream, "session.deleted")).map(({ type }) => type);
      expect(types).toEqual(
        expect.arrayContaining(["session.updated", "session.status_terminated", "session.deleted"]),
      );
    });

    test("refusals", async () => {
      const { client } = use();
      const { events } = client.beta.sessions;
      const { id } = await createSession(client);
      await refused(events.list("sesn_none"), 404);
      await refused(events.list(id, { limit: 0 }), 400);
      await refused(events.list(id, { page: "no cursor" }), 400);
      await refused(events.send("sesn_none", { events: [message("x")] }), 404);
      await refused(events.send(id, { events: [] }), 400);
      await refused(send(client, id, { type: "user.message", content: [] }), 400);
      await refused(send(client, id, { type: "user.custom_tool_result", custom_tool_use_id: "sevt_none" }), 400);
      await refused(events.stream("sesn_none"), 404);
      await refused(events.stream(id, { event_deltas: ["user.message" as never] }), 400);
    });
  });
}
