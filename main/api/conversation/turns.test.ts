/** Turns as SDK programs see them: status, queueing, the order of events (contract.md §2.4, §3.4). */
import { afterEach, describe, expect, test } from "vitest";
import { call, type ScriptRequest, type ScriptTurn, say } from "../../../e2e/model_server/script.ts";
import { type Engine, startEngine, text } from "../testing/engine.ts";

let engine: Engine;
afterEach(() => engine[Symbol.asyncDispose]());

const bash = call({ name: "bash", input: { command: "ls" } });
const oneRound = (request: ScriptRequest): ScriptTurn => (request.results.size > 0 ? say("done") : bash);
const types = (events: readonly { type: string }[]) => events.map(({ type }) => type);

/** A promise and what resolves it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe("status", () => {
  test("idle when made, running while it works, idle again: on the session, in the list and in the filters", async () => {
    const held = gate();
    engine = await startEngine(async () => {
      await held.opened;
      return say("Hello.");
    });
    const { sessions } = engine.client.beta;
    const id = await engine.session();
    const seenAs = async () => [
      (await sessions.retrieve(id)).status,
      ...(await sessions.list()).data.map(({ status }) => status),
      (await sessions.list({ statuses: ["running"] })).data.length,
      (await sessions.list({ statuses: ["idle", "rescheduling"] })).data.length,
    ];
    expect(await seenAs()).toEqual(["idle", "idle", 0, 1]);
    await engine.send(id, text("Hi."));
    expect(await seenAs()).toEqual(["running", "running", 1, 0]);
    for (const refused of [sessions.archive(id), sessions.delete(id)]) {
      await expect(refused).rejects.toThrow(/Cannot (archive|delete) session while it is running. Send an interrupt/);
    }
    await expect(sessions.update(id, { agent: { tools: [] } })).rejects.toThrow(/while the session is idle/);
    held.open();
    await engine.settled(id);
    expect(await seenAs()).toEqual(["idle", "idle", 0, 1]);
    await sessions.archive(id);
    expect((await sessions.list({ statuses: ["terminated"], include_archived: true })).data).toMatchObject([{ id }]);
    expect((await sessions.list({ statuses: ["terminated"] })).data).toEqual([]);
  });

  test("a session that waits to try again says so: its agent stays, a message goes on at once, it may be archived", async () => {
    const offline = {
      status: 502,
      error: { type: "api_error" as const, message: "no route", details: { error_code: "endpoint_unreachable" } },
    };
    engine = await startEngine([offline, say("Online."), offline]);
    const { sessions } = engine.client.beta;
    const id = await engine.session();
    const followed = await engine.follow(id);
    await engine.send(id, text("Hi."));
    await engine.settled(id);
    expect((await sessions.retrieve(id)).status).toBe("rescheduling");
    expect((await sessions.list({ statuses: ["rescheduling"] })).data).toMatchObject([{ id }]);
    expect((await sessions.list({ statuses: ["idle", "running"] })).data).toEqual([]);
    expect((await engine.events(id)).slice(-3)).toMatchObject([
      { type: "session.error", error: { type: "model_request_failed_error", retry_status: { type: "retrying" } } },
      { type: "session.thread_status_rescheduled" },
      { type: "session.status_rescheduled" },
    ]);
    await expect(sessions.update(id, { agent: { tools: [] } })).rejects.toThrow(/while the session is idle/);
    expect((await sessions.update(id, { title: "t" })).title).toBe("t");
    await engine.send(id, text("Now?"));
    await engine.settled(id);
    expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
    await engine.send(id, text("Again."));
    await engine.settled(id);
    expect((await sessions.archive(id)).status).toBe("terminated");
    await expect
      .poll(() => types(followed.seen).slice(-2))
      .toEqual(["session.thread_status_terminated", "session.status_terminated"]);
    await sessions.delete(id);
    await followed.ended;
    expect(types(followed.seen).at(-1)).toBe("session.deleted");
  });
});

describe("a turn", () => {
  test("streams its events in the contract's order, usage right before idle, and ends up in the list just so", async () => {
    engine = await startEngine(oneRound);
    const id = await engine.session();
    const followed = await engine.follow(id);
    await engine.send(id, text("Look."));
    await engine.settled(id);
    await expect.poll(() => types(followed.seen).at(-1)).toBe("session.status_idle");
    expect(types(followed.seen)).toEqual([
      "user.message",
      "session.status_running",
      "session.thread_status_running",
      "user.message",
      "span.model_request_start",
      "agent.tool_use",
      "span.model_request_end",
      "agent.tool_result",
      "span.model_request_start",
      "agent.message",
      "span.model_request_end",
      "session.thread_status_idle",
      "session.usage",
      "session.status_idle",
    ]);
    const listed = await engine.events(id);
    // The message is listed once, where it was processed; else the list is what the stream showed.
    expect(types(listed)).toEqual(types(followed.seen).slice(1));
    const usage = (await engine.client.beta.sessions.retrieve(id)).usage;
    expect(listed.at(-2)).toMatchObject({ type: "session.usage", usage: { output_tokens: usage.output_tokens } });
    followed.stop();
  });

  test("a queued event has no processed_at; once processed, it is streamed again with its time", async () => {
    const held = gate();
    engine = await startEngine(async ({ index }) => {
      if (index === 0) await held.opened;
      return say(`answer ${index}`);
    });
    const id = await engine.session();
    const followed = await engine.follow(id);
    await engine.send(id, text("first"));
    await expect.poll(() => engine.inside.server.requests.length).toBe(1);
    const { data } = await engine.client.beta.sessions.events.send(id, { events: [text("second"), text("third")] });
    expect(data).toMatchObject([{ processed_at: null }, { processed_at: null }]);
    const waiting = (await engine.events(id)).slice(-2);
    expect(waiting).toEqual(data);
    held.open();
    await engine.settled(id);
    const second = data?.[0];
    await expect.poll(() => followed.seen.filter((event) => "id" in event && event.id === second?.id)).toHaveLength(2);
    const [queued, processed] = followed.seen.filter((event) => "id" in event && event.id === second?.id);
    expect(queued).toEqual(second);
    expect(processed).toEqual({ ...second, processed_at: expect.stringMatching(/Z$/) });
    expect((await engine.events(id)).filter(({ id: one }) => one === second?.id)).toEqual([processed]);
    // Both were taken in together, in their order, behind the answer to the first.
    const asked = engine.inside.server.requests[1]?.body?.messages ?? [];
    expect(asked.map(({ role }) => role)).toEqual(["user", "assistant", "user"]);
    expect(JSON.stringify(asked[2])).toMatch(/second.*third/);
    followed.stop();
  });

  test("a message sent while the session waits for an approval stays queued until that is given", async () => {
    engine = await startEngine(oneRound);
    const policy = { permission_policy: { type: "always_ask" as const } };
    const id = await engine.session({ tools: [{ type: "agent_toolset_20260401", default_config: policy }] });
    await engine.send(id, text("Look."));
    await engine.settled(id);
    await engine.send(id, text("And hurry."));
    await engine.settled(id);
    expect((await engine.events(id)).at(-1)).toMatchObject({ type: "user.message", processed_at: null });
    expect(await engine.of(id, "session.status_idle")).toHaveLength(1);
    const [use] = await engine.of(id, "agent.tool_use");
    await engine.send(id, { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: "allow" });
    await engine.settled(id);
    const messages = await engine.of(id, "user.message");
    expect(messages.map(({ processed_at }) => typeof processed_at)).toEqual(["string", "string"]);
    expect(engine.inside.server.requests.at(-1)?.raw.toString()).toContain("And hurry.");
  });
});

test("events page while others arrive, none twice and none missing, in both directions", async () => {
  engine = await startEngine(oneRound);
  const { events } = engine.client.beta.sessions;
  const id = await engine.session();
  await engine.send(id, text("One."));
  await engine.settled(id);
  const before = (await engine.events(id)).map((event) => event.id);
  const seen: string[] = [];
  for await (const event of events.list(id, { limit: 4 })) {
    seen.push(event.id);
    if (seen.length === 6) {
      await engine.send(id, text("Two."));
      await engine.settled(id);
    }
  }
  const after = (await engine.events(id)).map((event) => event.id);
  expect(after.slice(0, before.length)).toEqual(before);
  expect(seen).toEqual(after);
  const back: string[] = [];
  for await (const event of events.list(id, { limit: 3, order: "desc" })) back.push(event.id);
  expect(back).toEqual([...after].reverse());
  // A filter may change from page to page; the order may not.
  const page = await events.list(id, { limit: 2 });
  const rest = await events.list(id, { limit: 1000, page: page.next_page ?? "", types: ["agent.message"] });
  expect(rest.data.map(({ type }) => type)).toEqual(["agent.message", "agent.message"]);
  const times = (await engine.of(id, "agent.message")).map((event) => event.processed_at);
  const between = { "created_at[gte]": times[0] ?? "", "created_at[lt]": times[1] ?? "" };
  expect((await events.list(id, { ...between, types: ["agent.message"] })).data).toHaveLength(1);
});
