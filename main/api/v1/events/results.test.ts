import { afterAll, beforeAll, expect, test } from "vitest";
import type { EventDraft } from "../../../contract/events.ts";
import { newId } from "../../../contract/ids.ts";
import { hostedEnvironment, hostedSession } from "../../testing/hosted.ts";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
let environment: Awaited<ReturnType<typeof hostedEnvironment>>;
beforeAll(async () => {
  rig = await startRig();
  environment = await hostedEnvironment(rig);
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

function use(name: string, permission: "allow" | "ask" | "deny" = "allow"): EventDraft & { id: string } {
  return { type: "agent.tool_use", id: newId("event"), name, input: {}, evaluated_permission: permission };
}

/** Sends a worker's result with the environment's key. */
const result = (session: string, tool_use_id: string, text = "ok") =>
  environment.client.beta.sessions.events.send(session, {
    events: [{ type: "user.tool_result", tool_use_id, is_error: false, content: [{ type: "text", text }] }],
  });

test("a result is stored processed; a second one for the same call is answered with the first", async () => {
  const id = await hostedSession(rig, environment.id);
  const call = use("bash");
  await rig.emit(id, call);
  const [stored] = (await result(id, call.id, "first")).data ?? [];
  expect(stored).toMatchObject({ type: "user.tool_result", tool_use_id: call.id, processed_at: expect.any(String) });
  const [again] = (await result(id, call.id, "second")).data ?? [];
  expect(again).toEqual(stored);
  const { data } = await rig.client.beta.sessions.events.list(id, { types: ["user.tool_result"] });
  expect(data).toEqual([stored]);
  expect(rig.orchestrator.wakes.at(-1)).toEqual({ sessionId: id, reason: "client_event" });
});

test("what is not the worker's to answer is refused for good", async () => {
  const id = await hostedSession(rig, environment.id);
  const calls = { asks: use("bash", "ask"), denied: use("bash", "deny"), server: use("web_search") };
  const custom = newId("event");
  await rig.emit(id, ...Object.values(calls), { type: "agent.custom_tool_use", id: custom, name: "t", input: {} });
  const refused = async (call: string) => {
    const { status, message } = await refusalOf(result(id, call));
    expect(status).toBe(400);
    return message;
  };
  expect(await refused(calls.asks.id)).toMatch(/waits for a user\.tool_confirmation/);
  expect(await refused(calls.denied.id)).toMatch(/was denied/);
  expect(await refused(calls.server.id)).toMatch(/web_search runs on the server/);
  expect(await refused(custom)).toMatch(/user\.custom_tool_result/);
  expect(await refused("sevt_none")).toMatch(/there is no tool call/);
  await rig.emit(id, { type: "user.tool_confirmation", tool_use_id: calls.asks.id, result: "allow" });
  expect((await result(id, calls.asks.id)).data).toHaveLength(1);

  const cloud = await rig.session();
  const call = use("bash");
  await rig.emit(cloud, call);
  const params = { events: [{ type: "user.tool_result" as const, tool_use_id: call.id }] };
  const error = await refusalOf(rig.client.beta.sessions.events.send(cloud, params));
  expect([error.status, error.message]).toEqual([400, expect.stringMatching(/only sessions of self_hosted/)]);
});

test("a result that comes after an interrupt is refused, although the interrupt left one of its own", async () => {
  const id = await hostedSession(rig, environment.id);
  const call = use("bash");
  await rig.emit(id, call);
  await rig.emit(
    id,
    {
      type: "user.tool_result",
      tool_use_id: call.id,
      is_error: true,
      content: [{ type: "text", text: "interrupted" }],
    },
    { type: "longhaul.call_settled", tool_use_id: call.id, how: "interrupted" },
  );
  const { status, message } = await refusalOf(result(id, call.id));
  expect([status, message]).toEqual([400, expect.stringMatching(/settled without a result/)]);
});
