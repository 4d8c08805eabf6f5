/** What a client must answer: confirmations and custom tools (contract.md §3.4). */
import type { AgentCreateParams } from "@anthropic-ai/sdk/resources/beta/agents/agents";
import { afterEach, expect, test } from "vitest";
import { call, type ScriptRequest, say } from "../../../e2e/model_server/script.ts";
import { type Engine, startEngine, text } from "../testing/engine.ts";

let engine: Engine;
afterEach(() => engine[Symbol.asyncDispose]());

const bash = (command: string) => ({ name: "bash", input: { command } });
const boss = (about: string) => ({ name: "boss", input: { about } });
const script =
  (...calls: Parameters<typeof call>) =>
  ({ results }: ScriptRequest) =>
    results.size > 0 ? say("done") : call(...calls);
const ASKING: NonNullable<AgentCreateParams["tools"]> = [
  { type: "agent_toolset_20260401", default_config: { permission_policy: { type: "always_ask" } } },
  { type: "custom", name: "boss", description: "Asks.", input_schema: { type: "object" } },
];

/** A session that has been asked something and waits. */
async function waiting(...calls: Parameters<typeof call>): Promise<string> {
  engine = await startEngine(script(...calls));
  const id = await engine.session({ tools: ASKING });
  await engine.send(id, text("Go."));
  await engine.settled(id);
  return id;
}

async function asked(id: string): Promise<string[]> {
  const idle = (await engine.of(id, "session.status_idle")).at(-1);
  return idle?.stop_reason.type === "requires_action" ? idle.stop_reason.event_ids : [];
}

const results = (): { content: string; is_error?: boolean }[] => {
  const last = engine.inside.server.requests.at(-1)?.body?.messages.at(-1)?.content as unknown[];
  return last.map((block) => JSON.parse(JSON.stringify(block)));
};

test("several calls are answered in one request; a denied one never runs and the model reads why", async () => {
  const id = await waiting(bash("ls"), bash("rm -rf /"), bash("pwd"));
  const uses = await engine.of(id, "agent.tool_use");
  expect(uses).toMatchObject(uses.map(() => ({ evaluated_permission: "ask", evaluation: { type: "always_ask" } })));
  const ids = uses.map((use) => use.id);
  expect(await asked(id)).toEqual(ids);
  const [a = "", b = "", c = ""] = ids;
  const confirm = (tool_use_id: string, more: object) =>
    ({ type: "user.tool_confirmation", tool_use_id, ...more }) as Parameters<Engine["send"]>[1];
  await expect(engine.send(id, confirm(a, { result: "allow", deny_message: "no" }))).rejects.toThrow(/deny_message/);
  await engine.send(
    id,
    confirm(a, { result: "allow" }),
    confirm(b, { result: "deny", deny_message: "not the root" }),
    confirm(c, { result: "deny" }),
  );
  await engine.settled(id);
  expect(engine.inside.sandbox.executions).toEqual([a]);
  const [ran, denied, plain] = results();
  expect(ran?.is_error).toBeUndefined();
  expect(denied).toMatchObject({ is_error: true });
  expect(JSON.stringify(denied)).toMatch(/rejected this call of bash; it did not run\. Reason: not the root/);
  expect(JSON.stringify(plain)).toMatch(/rejected this call of bash; it did not run\."/);
  expect(await engine.of(id, "agent.tool_result")).toHaveLength(3);
  const confirmations = await engine.of(id, "user.tool_confirmation");
  expect(confirmations.map(({ result, processed_at }) => [result, typeof processed_at])).toEqual([
    ["allow", "string"],
    ["deny", "string"],
    ["deny", "string"],
  ]);
});

test("answering fewer than all tells the rest again, each time with the usage right before", async () => {
  const id = await waiting(bash("ls"), boss("a"), boss("b"));
  const [use] = await engine.of(id, "agent.tool_use");
  const [first, second] = await engine.of(id, "agent.custom_tool_use");
  const ids = [use?.id ?? "", first?.id ?? "", second?.id ?? ""];
  expect(await asked(id)).toEqual(ids);
  const answer = (custom_tool_use_id: string) => ({ type: "user.custom_tool_result" as const, custom_tool_use_id });
  await engine.send(id, answer(ids[2] ?? ""));
  await engine.settled(id);
  expect(await asked(id)).toEqual([ids[0], ids[1]]);
  await engine.send(id, { type: "user.tool_confirmation", tool_use_id: ids[0] ?? "", result: "allow" });
  await engine.settled(id);
  expect(await asked(id)).toEqual([ids[1]]);
  const events = await engine.events(id);
  const idle = events.flatMap(({ type }, index) => (type === "session.status_idle" ? [index] : []));
  expect(idle.map((index) => events[index - 1]?.type)).toEqual(Array(3).fill("session.usage"));
  expect((await engine.client.beta.sessions.retrieve(id)).status).toBe("idle");
  await engine.send(id, answer(ids[1] ?? ""));
  await engine.settled(id);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
  expect(engine.inside.server.requests).toHaveLength(2);
});

test("a custom tool's result may come before the session is idle; then it never waits", async () => {
  engine = await startEngine(script(boss("now"), bash("sleep")));
  let finish = (): void => undefined;
  engine.inside.sandbox.behaviour = () => new Promise((resolve) => (finish = () => resolve("slept")));
  const id = await engine.session({ tools: [{ type: "agent_toolset_20260401" }, ...ASKING.slice(1)] });
  await engine.send(id, text("Go."));
  await expect.poll(() => engine.inside.sandbox.executions.length).toBe(1);
  const [use] = await engine.of(id, "agent.custom_tool_use");
  const { data } = await engine.client.beta.sessions.events.send(id, {
    events: [
      { type: "user.custom_tool_result", custom_tool_use_id: use?.id ?? "", content: [{ type: "text", text: "yes" }] },
    ],
  });
  // Processed on receipt: it is part of the conversation as soon as it is there.
  expect(data).toMatchObject([{ type: "user.custom_tool_result", processed_at: expect.any(String) }]);
  finish();
  await engine.settled(id);
  expect((await engine.of(id, "session.status_idle")).map(({ stop_reason }) => stop_reason.type)).toEqual(["end_turn"]);
  expect(JSON.stringify(results())).toContain("yes");
});

test("a result may be empty, hold any bytes, or be an error with blocks of every kind", async () => {
  const id = await waiting(boss("1"), boss("2"), boss("3"));
  const uses = await engine.of(id, "agent.custom_tool_use");
  const answer = (index: number, content?: unknown[], is_error?: boolean) =>
    ({
      type: "user.custom_tool_result",
      custom_tool_use_id: uses[index]?.id,
      ...(content === undefined ? {} : { content }),
      ...(is_error === undefined ? {} : { is_error }),
    }) as Parameters<Engine["send"]>[1];
  const search = {
    type: "search_result",
    source: "https://example.com",
    title: "t",
    content: [{ type: "text", text: "found" }],
    citations: { enabled: false },
  };
  await engine.send(
    id,
    answer(0),
    answer(1, [{ type: "text", text: "" }]),
    answer(2, [{ type: "text", text: "a\0b" }, search]),
  );
  await engine.settled(id);
  expect(engine.inside.server.requests.at(-1)?.rejected).toBeNull();
  expect(JSON.stringify(results()[2])).toContain("a\uFFFDb");
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
});

test("the automatic policy reaches no judgement here, so a person is asked; a tool that is off is refused by the server", async () => {
  engine = await startEngine(script(bash("ls"), { name: "write", input: { file_path: "/a", content: "" } }));
  const id = await engine.session({
    tools: [
      {
        type: "agent_toolset_20260401",
        default_config: { permission_policy: { type: "auto" } },
        configs: [{ name: "write", enabled: false }],
      },
    ],
  });
  await engine.send(id, text("Go."));
  await engine.settled(id);
  const [asks, refused] = await engine.of(id, "agent.tool_use");
  expect(asks).toMatchObject({
    evaluated_permission: "ask",
    evaluation: { type: "auto", evaluated_permission: { type: "ask", reason_code: "indeterminate" } },
  });
  expect(refused).toMatchObject({ evaluated_permission: "deny" });
  expect(refused).not.toHaveProperty("evaluation");
  expect(await asked(id)).toEqual([asks?.id]);
  expect(await engine.of(id, "agent.tool_result")).toMatchObject([{ tool_use_id: refused?.id, is_error: true }]);
});
