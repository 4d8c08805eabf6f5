import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { newId } from "../../../../contract/ids.ts";
import { systemMessageSupport } from "../../../../contract/model/system_messages.ts";
import { type Rig, startRig } from "../../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const content = [{ type: "text" as const, text: "Answer in French." }];
const system = { type: "system.message" as const, content };
const message = { type: "user.message" as const, content: [{ type: "text" as const, text: "Hello" }] };

async function send(id: string, ...events: unknown[]) {
  const answer = await rig.request(`/v1/sessions/${id}/events`, { method: "POST", body: { events } });
  const body = (await answer.json()) as {
    data?: { id: string; type: string; processed_at: string | null }[];
    error?: { message: string; details?: { error_code: string } };
  };
  const { data = [], error } = body;
  return { status: answer.status, data, message: error?.message ?? "", code: error?.details?.error_code };
}

/** A session that waits for the results of two custom calls. */
async function waiting(thread?: string): Promise<{ id: string; calls: string[] }> {
  const id = await rig.session();
  const calls = [newId("event"), newId("event")];
  const posted = thread === undefined ? {} : { session_thread_id: thread };
  await rig.emit(
    id,
    { type: "session.status_running" },
    ...calls.map((call) => ({ type: "agent.custom_tool_use" as const, id: call, name: "ask", input: {}, ...posted })),
    { type: "session.status_idle", stop_reason: { type: "requires_action", event_ids: calls }, stop_details: null },
  );
  return { id, calls };
}

const result = (custom_tool_use_id: string | undefined) => ({
  type: "user.custom_tool_result",
  custom_tool_use_id,
  content: [{ type: "text", text: "42" }],
});

describe("system.message", () => {
  test("is queued behind the message that it accompanies, and processed with it", async () => {
    const id = await rig.session();
    const sent = await rig.client.beta.sessions.events.send(id, { events: [message, system] });
    expect(sent.data).toMatchObject([message, { ...system, processed_at: null }]);
    const ids = (sent.data ?? []).map((event) => event.id);
    await rig.emit(id, { type: "longhaul.inputs_consumed", event_ids: ids });
    const listed = await rig.client.beta.sessions.events.list(id, { types: ["system.message"] });
    expect(listed.data).toMatchObject([{ id: ids[1], processed_at: expect.any(String) }]);
  });

  test("while results are waited for it is taken behind one of them only", async () => {
    const { id, calls } = await waiting();
    const behindMessage = await send(id, message, system);
    expect(behindMessage.status).toBe(400);
    expect(behindMessage.message).toMatch(/only taken right behind one of them/);
    expect((await send(id, result(calls[0]), system)).status).toBe(200);
    expect((await send(id, result(calls[1]))).status).toBe(200);
  });

  test("sent again with its result it is answered, not appended", async () => {
    const { id, calls } = await waiting();
    const first = await send(id, result(calls[0]), system);
    const again = await send(id, result(calls[0]), system);
    expect(again.data).toEqual(first.data);
    const other = { ...system, content: [{ type: "text", text: "Answer in Danish." }] };
    expect((await send(id, result(calls[0]), other)).message).toMatch(/is in the session already/);
    expect((await rig.client.beta.sessions.events.list(id, { types: ["system.message"] })).data).toHaveLength(1);
  });

  test("behind a spawned thread's result it is refused: it reaches the primary thread only", async () => {
    const id = await rig.session();
    const agent = (await rig.client.beta.sessions.retrieve(id)).agent;
    const child = newId("thread");
    const parent = (await rig.ledger.getSession(id))?.fold.primary_thread_id ?? "";
    const { multiagent: _, ...own } = agent;
    const call = newId("event");
    await rig.emit(
      id,
      {
        type: "longhaul.thread_created",
        spawned_thread_id: child,
        parent_thread_id: parent,
        agent: own,
        tool_use_id: null,
      },
      { type: "agent.custom_tool_use", id: call, name: "ask", input: {}, session_thread_id: child },
    );
    const answer = await send(id, result(call), system);
    expect(answer.message).toMatch(/reaches the primary thread only/);
    expect((await send(id, result(call))).status).toBe(200);
    expect((await send(id, message, system)).status).toBe(200);
  });

  test.each<[string, unknown[], RegExp]>([
    ["alone", [system], /`events\[0\]`: a system.message must immediately follow/],
    ["before its message", [system, message], /`events\[0\]`: a system.message must be the last event/],
    ["twice", [message, system, system], /`events\[1\]`: a system.message must be the last event/],
    ["behind an interrupt", [message, { type: "user.interrupt" }, system], /`events\[2\]`: .* must immediately follow/],
    [
      "behind an outcome",
      [{ type: "user.define_outcome", description: "x", rubric: { type: "text", content: "y" } }, system],
      /`events\[1\]`: .* must immediately follow/,
    ],
    ["without content", [message, { ...system, content: [] }], /`events\[1\]\.content` must not be empty/],
    [
      "with 1001 blocks",
      [message, { ...system, content: Array.from({ length: 1001 }, () => content[0]) }],
      /at most 1000 entries/,
    ],
    ["with blank text", [message, { ...system, content: [{ type: "text", text: " " }] }], /more than white space/],
    [
      "with an image",
      [message, { ...system, content: [{ type: "image", source: { type: "url", url: "https://a.b/c.png" } }] }],
      /`events\[1\]\.content\[0\]\.type` must be "text"/,
    ],
    ["with a thread", [message, { ...system, session_thread_id: "sthr_1" }], /Unknown field/],
  ])("is refused %s, and nothing is appended", async (_, events, words) => {
    const id = await rig.session();
    const answer = await send(id, ...events);
    expect(answer.message).toMatch(words);
    expect(answer.status).toBe(400);
    expect((await rig.client.beta.sessions.events.list(id)).data).toEqual([]);
  });

  test("of 1000 blocks is taken", async () => {
    const id = await rig.session();
    const long = { ...system, content: Array.from({ length: 1000 }, () => content[0]) };
    expect((await send(id, message, long)).status).toBe(200);
  });

  test("for a model that is known to take none it is refused with the contract's code", async () => {
    const agent = await rig.client.beta.agents.create({ name: "older", model: "claude-opus-4-6" });
    const environment = await rig.client.beta.environments.create({ name: `env ${Math.random()}` });
    const { id } = await rig.client.beta.sessions.create({ agent: agent.id, environment_id: environment.id });
    const answer = await send(id, message, system);
    expect(answer.status).toBe(400);
    expect(answer.code).toBe("model_does_not_support_mid_conversation_system");
    expect(answer.message).toMatch(/claude-opus-4-6 does not support system messages/);
  });
});

describe("systemMessageSupport", () => {
  test.each([
    ["claude-opus-5-5", "role"],
    ["claude-opus-5", "role"],
    ["claude-opus-4-8", "role"],
    ["claude-opus-4-10", "role"],
    ["claude-sonnet-5", "role"],
    ["claude-sonnet-5-5", "role"],
    ["claude-haiku-5-5", "role"],
    ["claude-fable-5-2", "role"],
    ["claude-mythos-5", "role"],
    ["claude-opus-4-7", "refused"],
    ["claude-opus-4-5-20251101", "refused"],
    ["claude-opus-4-20250514", "refused"],
    ["claude-opus-4", "refused"],
    ["claude-sonnet-4-6", "refused"],
    ["claude-haiku-4-5-20251001", "refused"],
    ["claude-mythos-preview", "refused"],
    ["claude-3-7-sonnet-20250219", "refused"],
    ["claude-2.1", "refused"],
    ["claude-instant-1.2", "refused"],
    ["anthropic/claude-opus-4.6", "text"],
    ["qwen3-coder:30b", "text"],
    ["longhaul-demo", "text"],
  ])("%s: %s", (model, support) => {
    expect(systemMessageSupport(model)).toBe(support);
  });
});
