import { describe, expect, test } from "vitest";
import type { ScriptRequest, ScriptTurn } from "../../../e2e/model_server/script.ts";
import { ScriptedMcp, textResult } from "../../tools/testing/scripted_mcp.ts";
import { startEngine, text } from "../testing/engine.ts";

const NOTES = { type: "url" as const, name: "notes", url: "https://notes.example.com/mcp" };

/** Calls the tool once, then says what came back. */
function oneCall(request: ScriptRequest): ScriptTurn {
  const [answer] = [...request.results.values()];
  if (answer !== undefined) return { content: [{ type: "text", text: `It said: ${answer.text}` }] };
  return { content: [{ type: "tool_use", name: "mcp__notes__search", input: { q: "x" } }] };
}

function server(): ScriptedMcp {
  const mcp = new ScriptedMcp();
  mcp.servers.set("notes", { tools: [{ name: "search", read_only: true }], answer: () => textResult("three notes") });
  return mcp;
}

describe("MCP servers of an agent, through the SDK", () => {
  test("ask by default, as a toolset without settings says, and run once allowed", async () => {
    await using engine = await startEngine(oneCall, {}, { mcp: server() });
    const tools = [{ type: "mcp_toolset" as const, mcp_server_name: "notes" }];
    const id = await engine.session({ mcp_servers: [NOTES], tools });
    await engine.send(id, text("Search."));
    await engine.settled(id);
    const [use] = await engine.of(id, "agent.mcp_tool_use");
    expect(use).toMatchObject({ name: "search", mcp_server_name: "notes", evaluated_permission: "ask" });
    const [idle] = await engine.of(id, "session.status_idle");
    expect(idle?.stop_reason).toEqual({ type: "requires_action", event_ids: [use?.id] });
    await engine.send(id, { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: "allow" });
    await engine.settled(id);
    const [result] = await engine.of(id, "agent.mcp_tool_result");
    expect(result).toMatchObject({ mcp_tool_use_id: use?.id, content: [{ type: "text", text: "three notes" }] });
    expect(result?.is_error).toBe(false);
    expect((await engine.of(id, "agent.message")).at(-1)?.content).toEqual([
      { type: "text", text: "It said: three notes" },
    ]);
  });

  test("tell the model of a denial in the person's words", async () => {
    await using engine = await startEngine(oneCall, {}, { mcp: server() });
    const tools = [{ type: "mcp_toolset" as const, mcp_server_name: "notes" }];
    const id = await engine.session({ mcp_servers: [NOTES], tools });
    await engine.send(id, text("Search."));
    await engine.settled(id);
    const [use] = await engine.of(id, "agent.mcp_tool_use");
    const deny_message = "Not my notes.";
    await engine.send(id, { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: "deny", deny_message });
    await engine.settled(id);
    const [result] = await engine.of(id, "agent.mcp_tool_result");
    expect(result?.is_error).toBe(true);
    expect(JSON.stringify(result?.content)).toContain("Not my notes.");
    expect(engine.inside.errors).toEqual([]);
  });

  test("that are away are told as an error of the contract and hold nothing up", async () => {
    await using engine = await startEngine([{ content: [{ type: "text", text: "Without." }] }], {}, {});
    const tools = [{ type: "mcp_toolset" as const, mcp_server_name: "notes" }];
    const id = await engine.session({ mcp_servers: [NOTES], tools });
    await engine.send(id, text("Search."));
    await engine.settled(id);
    const [error] = await engine.of(id, "session.error");
    expect(error?.error).toMatchObject({ type: "mcp_connection_failed_error", mcp_server_name: "notes" });
    expect((await engine.of(id, "session.status_idle"))[0]?.stop_reason).toEqual({ type: "end_turn" });
  });

  test("outside of a limited network are not asked, and the person is told what to change", async () => {
    const mcp = server();
    await using engine = await startEngine([{ content: [{ type: "text", text: "Without." }] }], {}, { mcp });
    const networking = { type: "limited" as const, allowed_hosts: ["example.org"] };
    const config = { type: "cloud" as const, networking };
    const environment = await engine.client.beta.environments.create({ name: "closed", config });
    const tools = [{ type: "mcp_toolset" as const, mcp_server_name: "notes" }];
    const id = await engine.session({ mcp_servers: [NOTES], tools }, { environment_id: environment.id });
    await engine.send(id, text("Search."));
    await engine.settled(id);
    expect(mcp.listings).toBe(0);
    const [error] = await engine.of(id, "session.error");
    expect(error?.error.message).toContain("allow_mcp_servers");
  });
});
