import { afterEach, describe, expect, test } from "vitest";
import type { ScriptRequest, ScriptTurn } from "../../../e2e/model_server/script.ts";
import type { SessionSnapshot, StoredEvent } from "../../contract/events.ts";
import { message, of, type Rig, startRig, toolset } from "../../orchestration/testing/rig.ts";
import { McpError } from "../../tools/mcp/port.ts";
import { ScriptedMcp, textResult } from "../../tools/testing/scripted_mcp.ts";
import { rebuildRequest } from "../context/rebuild.ts";

let rig: Rig;
afterEach(() => rig.close());

type Agent = Partial<SessionSnapshot["agent"]>;
type Policy = "always_allow" | "always_ask" | "auto";

function agent(policy: Policy, configs: { name: string; enabled: boolean; policy?: Policy }[] = []): Agent {
  return {
    mcp_servers: [{ type: "url", name: "notes", url: "http://127.0.0.1:1/mcp" }],
    tools: [
      toolset("always_allow"),
      {
        type: "mcp_toolset",
        mcp_server_name: "notes",
        default_config: { enabled: true, permission_policy: { type: policy } },
        configs: configs.map(({ name, enabled, policy: own = policy }) => ({
          name,
          enabled,
          permission_policy: { type: own },
        })),
      },
    ],
  };
}

const say = (text: string): ScriptTurn => ({ content: [{ type: "text", text }] });
const use = (name: string, input: Record<string, unknown> = {}): ScriptTurn => ({
  content: [{ type: "tool_use", name, input }],
});

/** Calls the tool once, then says what came back. */
function oneCall(name: string): (request: ScriptRequest) => ScriptTurn {
  return (request) =>
    request.results.size === 0 ? use(name, { q: "x" }) : say(`It said: ${[...request.results.values()][0]?.text}`);
}

async function run(script: Parameters<typeof startRig>[0], mcp: ScriptedMcp, by: Agent): Promise<string> {
  rig = await startRig(script, {}, { mcp });
  const id = await rig.create("Look it up.", by);
  await rig.orchestrator.settled(id);
  return id;
}

const toolNames = (index: number): string[] =>
  (rig.server.requests[index]?.body?.tools ?? []).map((tool) => ("name" in tool ? String(tool.name) : ""));

async function everyRequestRebuilds(id: string, events: StoredEvent[]): Promise<void> {
  for (const span of of(events, "span.model_request_start")) {
    expect((await rebuildRequest(rig.ports, id, span.id))?.matches).toBe(true);
  }
}

describe("tools of MCP servers in a session", () => {
  test("are offered in the server's order, called, and answered to the model", async () => {
    const mcp = new ScriptedMcp();
    mcp.servers.set("notes", {
      tools: [{ name: "search", read_only: true }, { name: "add note!" }],
      answer: ({ tool, input }) => textResult(`${tool} got ${JSON.stringify(input)}`),
    });
    const id = await run(oneCall("mcp__notes__search"), mcp, agent("always_allow"));
    const names = toolNames(0).filter((name) => name.startsWith("mcp__"));
    expect(names[0]).toBe("mcp__notes__search");
    expect(names[1]).toMatch(/^mcp__notes__add_note__[0-9a-f]{8}$/);
    const events = await rig.events(id);
    expect(of(events, "agent.mcp_tool_use")).toMatchObject([
      { name: "search", mcp_server_name: "notes", evaluated_permission: "allow", input: { q: "x" } },
    ]);
    expect(of(events, "agent.mcp_tool_result")[0]?.content).toEqual([{ type: "text", text: 'search got {"q":"x"}' }]);
    expect(of(events, "session.status_idle")).toHaveLength(1);
    expect(rig.server.requests.every(({ rejected }) => rejected === null)).toBe(true);
    await everyRequestRebuilds(id, events);
    expect(mcp.listings).toBe(1);
    expect(rig.sandbox.provisions).toBe(0);
  });

  test("keep their place in the next turn without being written down again", async () => {
    const mcp = new ScriptedMcp();
    mcp.servers.set("notes", { tools: [{ name: "search" }] });
    const id = await run([say("One."), say("Two.")], mcp, agent("always_allow"));
    await rig.send(id, message("Again."));
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    const events = await rig.events(id);
    expect(of(events, "longhaul.mcp_tools")).toHaveLength(1);
    expect(of(events, "longhaul.mcp_connected")).toHaveLength(2);
    expect(toolNames(1)).toEqual(toolNames(0));
    await everyRequestRebuilds(id, events);
  });

  test("that are switched off are not offered, and a call of one is refused", async () => {
    const mcp = new ScriptedMcp();
    mcp.servers.set("notes", { tools: [{ name: "search" }, { name: "erase" }], answer: () => textResult("done") });
    const by = agent("always_allow", [{ name: "erase", enabled: false }]);
    const id = await run(oneCall("mcp__notes__erase"), mcp, by);
    expect(toolNames(0)).not.toContain("mcp__notes__erase");
    expect(mcp.calls).toEqual([]);
    const [refused] = of(await rig.events(id), "agent.tool_result");
    expect(refused?.is_error).toBe(true);
  });

  test("wait for the person where the policy says ask", async () => {
    const mcp = new ScriptedMcp();
    mcp.servers.set("notes", { tools: [{ name: "search" }], answer: () => textResult("found") });
    const id = await run(oneCall("mcp__notes__search"), mcp, agent("always_ask"));
    expect(mcp.calls).toEqual([]);
    const [asked] = of(await rig.events(id), "agent.mcp_tool_use");
    expect(asked).toMatchObject({ evaluated_permission: "ask", evaluation: { type: "always_ask" } });
    await rig.send(id, { type: "user.tool_confirmation", tool_use_id: asked?.id ?? "", result: "allow" });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(mcp.calls).toHaveLength(1);
    expect(of(await rig.events(id), "agent.mcp_tool_result")[0]?.content).toEqual([{ type: "text", text: "found" }]);
  });

  test("change in mid-turn when the server says so", async () => {
    const mcp = new ScriptedMcp();
    mcp.servers.set("notes", {
      tools: [{ name: "search" }],
      answer: () => {
        mcp.servers.set("notes", { tools: [{ name: "search" }, { name: "open" }] });
        mcp.changed.add("notes");
        return textResult("There is more now.");
      },
    });
    const id = await run(oneCall("mcp__notes__search"), mcp, agent("always_allow"));
    expect(toolNames(0)).not.toContain("mcp__notes__open");
    expect(toolNames(1)).toContain("mcp__notes__open");
    await everyRequestRebuilds(id, await rig.events(id));
  });
});

describe("an MCP server that cannot be used", () => {
  test("is told by an error of the contract's type, the turn goes on, and the next turn tries again", async () => {
    const mcp = new ScriptedMcp();
    const id = await run([say("Without it."), say("With it.")], mcp, agent("always_allow"));
    const errors = of(await rig.events(id), "session.error");
    expect(errors.map(({ error }) => error)).toMatchObject([
      { type: "mcp_connection_failed_error", mcp_server_name: "notes", retry_status: { type: "retrying" } },
    ]);
    expect(of(await rig.events(id), "session.status_idle")[0]?.stop_reason.type).toBe("end_turn");
    mcp.servers.set("notes", { tools: [{ name: "search" }] });
    await rig.send(id, message("And now?"));
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
    expect(toolNames(1)).toContain("mcp__notes__search");
    expect(of(await rig.events(id), "session.error")).toHaveLength(1);
  });

  test("says that a person must sign in, at the listing and at a call", async () => {
    const mcp = new ScriptedMcp();
    const refused = new McpError("authentication", "no", "notes wants a sign-in.");
    mcp.servers.set("notes", {
      tools: [{ name: "search" }],
      answer: () => {
        throw refused;
      },
    });
    const id = await run(oneCall("mcp__notes__search"), mcp, agent("always_allow"));
    const events = await rig.events(id);
    expect(of(events, "session.error").map(({ error }) => error.type)).toEqual(["mcp_authentication_failed_error"]);
    const [answer] = of(events, "agent.mcp_tool_result");
    expect(answer?.is_error).toBe(true);
    expect(JSON.stringify(answer?.content)).toContain("must sign in");
  });

  test("is waited for while the keychain is locked, and nothing is asked of the model before", async () => {
    const mcp = new ScriptedMcp();
    mcp.servers.set("notes", { away: new McpError("locked", "no", "The keychain is locked.") });
    const id = await run([say("Done.")], mcp, agent("always_allow"));
    expect(rig.server.requests).toHaveLength(0);
    const [planned] = of(await rig.events(id), "longhaul.retry_scheduled");
    expect(planned).toMatchObject({ waits_for_keychain: true });
    mcp.servers.set("notes", { tools: [{ name: "search" }] });
    await rig.send(id, { type: "longhaul.resume_requested", by: "network" });
    await rig.orchestrator.wake(id, "network");
    await rig.orchestrator.settled(id);
    expect(toolNames(0)).toContain("mcp__notes__search");
    expect(of(await rig.events(id), "session.status_idle")).toHaveLength(1);
  });
});

describe("a call that was cut off", () => {
  /** The engine dies while the call is under way; another one takes over. */
  async function cutOff(hints: { read_only?: boolean; idempotent?: boolean }): Promise<StoredEvent[]> {
    const mcp = new ScriptedMcp();
    let calls = 0;
    mcp.servers.set("notes", {
      tools: [{ name: "act", ...hints }],
      answer: (_call, signal) => {
        calls += 1;
        if (calls > 1) return textResult(`call ${calls}`);
        return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    });
    rig = await startRig(oneCall("mcp__notes__act"), {}, { mcp });
    const id = await rig.create("Act.", agent("always_allow"));
    await expect.poll(() => calls).toBe(1);
    const next = rig.restart();
    await next.recover(true);
    await next.settled(id);
    return rig.events(id);
  }

  test("is not repeated: the model and the person are told that nobody knows", async () => {
    const events = await cutOff({});
    expect(of(events, "longhaul.outcome_unknown")).toHaveLength(1);
    const answers = of(events, "agent.mcp_tool_result");
    expect(answers).toHaveLength(1);
    expect(JSON.stringify(answers[0]?.content)).toContain("may or may not have taken effect");
  });

  test.each([{ read_only: true }, { idempotent: true }])("is repeated where the server says %j", async (hints) => {
    const events = await cutOff(hints);
    expect(of(events, "longhaul.outcome_unknown")).toEqual([]);
    expect(of(events, "longhaul.call_settled").map(({ how }) => how)).toEqual(["run_again"]);
    expect(of(events, "agent.mcp_tool_result")[0]?.content).toEqual([{ type: "text", text: "call 2" }]);
  });

  test("by a broken connection is unknown when it may have arrived, and tried again when it did not", async () => {
    const mcp = new ScriptedMcp();
    let calls = 0;
    mcp.servers.set("notes", {
      tools: [{ name: "act" }],
      answer: () => {
        calls += 1;
        if (calls === 1) throw new McpError("connection", "no", "Refused.");
        throw new McpError("connection", "maybe", "Broken off.");
      },
    });
    const id = await run(oneCall("mcp__notes__act"), mcp, agent("always_allow"));
    const events = await rig.events(id);
    expect(calls).toBe(2);
    expect(of(events, "longhaul.outcome_unknown")).toHaveLength(1);
    expect(of(events, "session.error")).toHaveLength(1);
  });

  test("by an interrupt gets the interrupted result and the server is told", async () => {
    const mcp = new ScriptedMcp();
    let stopped = false;
    mcp.servers.set("notes", {
      tools: [{ name: "act" }],
      answer: (_call, signal, onProgress) =>
        new Promise((_resolve, reject) => {
          onProgress("half done");
          signal.addEventListener("abort", () => {
            stopped = true;
            reject(signal.reason);
          });
        }),
    });
    rig = await startRig(oneCall("mcp__notes__act"), {}, { mcp });
    const id = await rig.create("Act.", agent("always_allow"));
    await expect.poll(() => mcp.calls.length).toBe(1);
    await rig.send(id, { type: "user.interrupt" });
    await rig.orchestrator.settled(id);
    expect(stopped).toBe(true);
    expect(of(await rig.events(id), "agent.mcp_tool_result")[0]?.is_error).toBe(true);
    expect(of(await rig.events(id), "session.status_idle")).toHaveLength(1);
  });
});
