import { afterEach, describe, expect, test } from "vitest";
import type { ScriptRequest, ScriptTurn } from "../../e2e/model_server/script.ts";
import { rebuildRequest } from "../harness/context/rebuild.ts";
import { message, type Rig, startRig, toolset } from "./testing/rig.ts";

let rig: Rig;
afterEach(() => rig.close());

const bash = (command: string): ScriptTurn => ({ content: [{ type: "tool_use", name: "bash", input: { command } }] });
const say = (text: string): ScriptTurn => ({ content: [{ type: "text", text }] });

/** One tool round, then an answer that repeats what the tool said. */
function oneRound(request: ScriptRequest): ScriptTurn {
  return request.results.size === 0 ? bash("ls") : say(`It said: ${[...request.results.values()][0]?.text}`);
}

describe("a turn", () => {
  test("goes from message to idle in the contract's order", async () => {
    rig = await startRig(oneRound);
    const id = await rig.create("Look around.");
    await rig.orchestrator.settled(id);
    expect((await rig.types(id)).filter((type) => !type.startsWith("longhaul."))).toEqual([
      "user.message",
      "session.status_running",
      "session.thread_status_running",
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
    expect(rig.server.requests.every((request) => request.rejected === null)).toBe(true);
    expect(rig.errors).toEqual([]);
  });

  test("P5: asks the sandbox for nothing before the first tool call", async () => {
    rig = await startRig([say("No tool needed.")]);
    const id = await rig.create("Say hello.");
    await rig.orchestrator.settled(id);
    expect(rig.sandbox.provisions).toBe(0);
  });

  test("sends exactly the bytes that the events rebuild", async () => {
    rig = await startRig(oneRound);
    const id = await rig.create("Look around.");
    await rig.orchestrator.settled(id);
    const spans = (await rig.events(id)).filter(({ event }) => event.type === "span.model_request_start");
    expect(spans).toHaveLength(2);
    for (const [index, span] of spans.entries()) {
      const rebuilt = await rebuildRequest(rig.ports, id, span.event.id);
      expect(rebuilt?.matches).toBe(true);
      expect(rebuilt?.request).toEqual(JSON.parse(rig.server.requests[index]?.raw.toString() ?? ""));
    }
  });

  test("sends the content of uploaded files, and rebuilds the same bytes later", async () => {
    rig = await startRig([say("A cat."), say("Gone.")]);
    const png = Buffer.from("iVBORw0KGgo=", "base64");
    const created_at = new Date().toISOString();
    const file = { id: "file_01CAT", type: "file" as const, filename: "cat.png", mime_type: "image/png" };
    const sha256 = await rig.ports.blobs.put(png);
    await rig.ports.catalog.putFile({ ...file, created_at, size_bytes: png.length, sha256 });
    const id = await rig.create();
    await rig.send(id, {
      type: "user.message",
      content: [{ type: "image", source: { file_id: "file_01CAT", type: "file" } }],
    });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    const sent = rig.server.requests[0];
    expect(sent?.rejected).toBeNull();
    expect(sent?.body?.messages[0]?.content).toEqual([
      { type: "image", source: { type: "base64", media_type: "image/png", data: png.toString("base64") } },
    ]);
    const span = (await rig.events(id)).find(({ event }) => event.type === "span.model_request_start");
    expect((await rebuildRequest(rig.ports, id, span?.event.id ?? ""))?.matches).toBe(true);
  });

  test("runs parallel calls at once and answers them in the model's order", async () => {
    rig = await startRig((request) =>
      request.results.size > 0
        ? say("done")
        : {
            content: [
              { type: "tool_use", name: "bash", input: { command: "slow" } },
              { type: "tool_use", name: "bash", input: { command: "fast" } },
            ],
          },
    );
    let running = 0;
    let together = 0;
    rig.sandbox.behaviour = async (_name, input) => {
      running += 1;
      together = Math.max(together, running);
      const { command } = input as { command: string };
      await new Promise((resolve) => setTimeout(resolve, command === "slow" ? 30 : 5));
      running -= 1;
      return command;
    };
    const id = await rig.create("Both.");
    await rig.orchestrator.settled(id);
    expect(together).toBe(2);
    const last = rig.server.requests[1]?.body?.messages.at(-1)?.content as { content: { text: string }[] }[];
    expect(last.map((result) => result.content[0]?.text)).toEqual(["slow", "fast"]);
    const results = (await rig.events(id)).filter(({ event }) => event.type === "agent.tool_result");
    expect(results).toHaveLength(2);
  });

  test("takes a message that arrives in mid-turn with the next request", async () => {
    rig = await startRig(oneRound);
    rig.sandbox.behaviour = async () => {
      await rig.send(id, message("And hurry."));
      await rig.orchestrator.wake(id, "client_event");
      return "files";
    };
    const id = await rig.create("Look around.");
    await rig.orchestrator.settled(id);
    const second = rig.server.requests[1]?.body?.messages.at(-1)?.content as { type: string; text?: string }[];
    expect(second.map((block) => block.type)).toEqual(["tool_result", "text"]);
    expect(second[1]?.text).toBe("And hurry.");
    expect(rig.server.requests).toHaveLength(2);
  });

  test("makes NUL and broken Unicode in tool output harmless for every later request", async () => {
    rig = await startRig(oneRound);
    rig.sandbox.behaviour = async () => "a\0b \ud800 c";
    const id = await rig.create("Read the binary.");
    await rig.orchestrator.settled(id);
    expect(rig.server.requests[1]?.rejected).toBeNull();
    expect((await rig.types(id)).at(-2)).toBe("session.status_idle");
  });

  test("answers a call of a tool that was never offered with an error result", async () => {
    rig = await startRig((request) =>
      request.results.size > 0 ? say("ok") : { content: [{ type: "tool_use", name: "teleport", input: {} }] },
    );
    const id = await rig.create("Go.");
    await rig.orchestrator.settled(id);
    const result = (await rig.events(id)).find(({ event }) => event.type === "agent.tool_result")?.event;
    expect(result).toMatchObject({ is_error: true });
    expect(JSON.stringify(result)).toContain("There is no tool named teleport");
    expect(rig.sandbox.executions).toEqual([]);
  });

  test("continues an answer that was cut at the output limit, and never runs half a call", async () => {
    rig = await startRig((request) =>
      request.turn === 0
        ? {
            content: [
              { type: "text", text: "First half" },
              { type: "tool_use", name: "bash", input: {}, partial_json: '{"command":"rm -r' },
            ],
            stop_reason: "max_tokens",
          }
        : say("second half"),
    );
    const id = await rig.create("Write a lot.");
    await rig.orchestrator.settled(id);
    expect(rig.sandbox.executions).toEqual([]);
    expect(rig.server.requests).toHaveLength(2);
    expect(rig.server.requests[1]?.rejected).toBeNull();
    expect(await rig.types(id)).toContain("longhaul.continuation");
  });

  test("ends a refused turn with its category and keeps the refusal out of the next request", async () => {
    rig = await startRig((request) =>
      request.index === 0
        ? {
            content: [{ type: "text", text: "I cannot" }],
            stop_reason: "refusal",
            stop_details: { type: "refusal", category: "cyber", explanation: "no" },
          }
        : say("Sure."),
    );
    const id = await rig.create("Do something bad.");
    await rig.orchestrator.settled(id);
    const idle = (await rig.events(id)).findLast(({ event }) => event.type === "session.status_idle")?.event;
    expect(idle).toMatchObject({ stop_reason: { type: "refusal" }, stop_details: { category: "cyber" } });
    await rig.send(id, message("Then something good."));
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(rig.server.requests[1]?.raw.toString()).not.toContain("I cannot");
    expect(rig.server.requests[1]?.rejected).toBeNull();
  });
});

describe("permissions", () => {
  test("always_ask waits for as long as it takes, says so once, and runs after allow", async () => {
    rig = await startRig(oneRound);
    const id = await rig.create("Look.", { tools: [toolset("always_ask")] });
    await rig.orchestrator.settled(id);
    expect(rig.sandbox.executions).toEqual([]);
    const events = await rig.events(id);
    const use = events.find(({ event }) => event.type === "agent.tool_use")?.event;
    expect(use).toMatchObject({ evaluated_permission: "ask", evaluation: { type: "always_ask" } });
    expect(events.findLast(({ event }) => event.type === "session.status_idle")?.event).toMatchObject({
      stop_reason: { type: "requires_action", event_ids: [use?.id] },
    });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect((await rig.types(id)).filter((type) => type === "session.status_idle")).toHaveLength(1);

    await rig.send(id, { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: "allow" });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(rig.sandbox.executions).toEqual([use?.id]);
    expect((await rig.ledger.getSession(id))?.fold.stop_reason).toEqual({ type: "end_turn" });
  });

  test("a denied call never runs and the model reads the reason", async () => {
    rig = await startRig(oneRound);
    const id = await rig.create("Look.", { tools: [toolset("always_ask")] });
    await rig.orchestrator.settled(id);
    const use = (await rig.events(id)).find(({ event }) => event.type === "agent.tool_use")?.event;
    await rig.send(id, {
      type: "user.tool_confirmation",
      tool_use_id: use?.id ?? "",
      result: "deny",
      deny_message: "not on a Sunday",
    });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(rig.sandbox.executions).toEqual([]);
    expect(rig.server.requests[1]?.raw.toString()).toContain("not on a Sunday");
  });

  test("of two asked calls none runs before both are answered, and the rest is announced again", async () => {
    rig = await startRig((request) =>
      request.results.size > 0
        ? say("done")
        : {
            content: [
              { type: "tool_use", name: "bash", input: { command: "a" } },
              { type: "tool_use", name: "bash", input: { command: "b" } },
            ],
          },
    );
    const id = await rig.create("Both.", { tools: [toolset("always_ask")] });
    await rig.orchestrator.settled(id);
    const uses = (await rig.events(id)).flatMap(({ event }) => (event.type === "agent.tool_use" ? [event.id] : []));
    await rig.send(id, { type: "user.tool_confirmation", tool_use_id: uses[0] ?? "", result: "allow" });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(rig.sandbox.executions).toEqual([]);
    const idle = (await rig.events(id)).findLast(({ event }) => event.type === "session.status_idle")?.event;
    expect(idle).toMatchObject({ stop_reason: { type: "requires_action", event_ids: [uses[1]] } });
    await rig.send(id, { type: "user.tool_confirmation", tool_use_id: uses[1] ?? "", result: "allow" });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(rig.sandbox.executions).toHaveLength(2);
  });

  test("a custom tool waits for its client's result", async () => {
    rig = await startRig((request) =>
      request.results.size > 0 ? say("thanks") : { content: [{ type: "tool_use", name: "ask_boss", input: { q: 1 } }] },
    );
    const id = await rig.create("Ask.", {
      tools: [{ type: "custom", name: "ask_boss", description: "Asks.", input_schema: { type: "object" } }],
    });
    await rig.orchestrator.settled(id);
    const use = (await rig.events(id)).find(({ event }) => event.type === "agent.custom_tool_use")?.event;
    await rig.send(id, {
      type: "user.custom_tool_result",
      custom_tool_use_id: use?.id ?? "",
      content: [{ type: "text", text: "the boss says yes" }],
    });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(rig.server.requests[1]?.raw.toString()).toContain("the boss says yes");
    expect((await rig.ledger.getSession(id))?.fold.stop_reason).toEqual({ type: "end_turn" });
  });
});
