/** Every type of the contract's session events: produced here through the SDK, or named with what it waits for. */
import type {
  BetaManagedAgentsSessionEvent,
  BetaManagedAgentsSessionEventType,
} from "@anthropic-ai/sdk/resources/beta/sessions/events";
import { expect, test } from "vitest";
import { call, overloaded, type ScriptRequest, type ScriptTurn, say } from "../../../e2e/model_server/script.ts";
import { type Engine, startEngine, text } from "../testing/engine.ts";

const OUTCOMES = "tests of outcomes produce it";
const MCP = "there is no MCP client yet";
const WORKFLOWS = "the language of workflow plans is not public";

/** The SDK's type makes this list complete. `session.deleted` is on streams only. */
const TYPES: Record<BetaManagedAgentsSessionEventType | "session.deleted", "produced" | string> = {
  "user.message": "produced",
  "user.interrupt": "produced",
  "user.tool_confirmation": "produced",
  "user.custom_tool_result": "produced",
  "user.tool_result": "tests of self-hosted workers produce it",
  "user.define_outcome": OUTCOMES,
  "system.message": OUTCOMES,
  "agent.message": "produced",
  "agent.thinking": "produced",
  "agent.tool_use": "produced",
  "agent.tool_result": "produced",
  "agent.custom_tool_use": "produced",
  "agent.mcp_tool_use": MCP,
  "agent.mcp_tool_result": MCP,
  "agent.thread_message_received": "produced",
  "agent.thread_message_sent": "produced",
  "agent.thread_context_compacted": "produced",
  "session.error": "produced",
  "session.updated": "produced",
  "session.usage": "produced",
  "session.deleted": "produced",
  "session.status_running": "produced",
  "session.status_idle": "produced",
  "session.status_rescheduled": "produced",
  "session.status_terminated": "produced",
  "session.thread_created": "produced",
  "session.thread_status_running": "produced",
  "session.thread_status_idle": "produced",
  "session.thread_status_rescheduled": "produced",
  "session.thread_status_terminated": "produced",
  "span.model_request_start": "produced",
  "span.model_request_end": "produced",
  "span.outcome_evaluation_start": OUTCOMES,
  "span.outcome_evaluation_ongoing": OUTCOMES,
  "span.outcome_evaluation_end": OUTCOMES,
  "workflow_run.created": WORKFLOWS,
  "workflow_run.status_running": WORKFLOWS,
  "workflow_run.status_idle": WORKFLOWS,
  "workflow_run.status_ended": WORKFLOWS,
  "workflow_run.error": WORKFLOWS,
  "workflow_run.phase_started": WORKFLOWS,
  "workflow_run.phase_ended": WORKFLOWS,
};

/** What the model does is in the last message. */
function play({ lastText, results, turn, index, body }: ScriptRequest): ScriptTurn {
  const said = lastText.toLowerCase();
  if (JSON.stringify(body.system).includes("You advise another agent")) return say("Do it.");
  if (said.includes("write a summary")) return say("SUMMARY");
  if (said.includes("summary") || results.size > 0) return say("done");
  if (said.includes("think"))
    return {
      content: [
        { type: "thinking", thinking: "Hm." },
        { type: "text", text: "Thought." },
      ],
    };
  if (said.includes("tools")) return call({ name: "bash", input: { command: "ls" } }, { name: "boss", input: {} });
  if (said.includes("compact") && turn === 1)
    return {
      status: 400,
      error: { type: "invalid_request_error", message: "prompt is too long: 9 tokens > 5 maximum" },
    };
  if (said.includes("trouble") && index === 0) return overloaded();
  if (said.includes("wait")) return { kind: "hang" };
  if (said.includes("advice")) return call({ name: "consult_advisor", input: { question: "How?" } });
  if (said.includes("help") && turn === 0)
    return call({ name: "send_to_agent", input: { agent: "Helper", message: "Hello." } });
  return say("ok");
}

type Seen = Map<string, BetaManagedAgentsSessionEvent>;

/** Deletes the session; everything that its stream showed from its creation on is noted. */
async function watched(engine: Engine, seen: Seen, id: string, steps: () => Promise<void>): Promise<void> {
  const followed = await engine.follow(id);
  await steps();
  await engine.settled(id);
  const listed = await engine.events(id);
  await engine.client.beta.sessions.delete(id);
  await followed.ended;
  for (const event of [...listed, ...followed.seen] as BetaManagedAgentsSessionEvent[]) seen.set(event.type, event);
  // Whatever is listed was streamed, and the other way round.
  const streamed = followed.seen.map(({ type }) => type).filter((type) => type !== "session.deleted");
  expect(new Set(streamed)).toEqual(new Set(listed.map(({ type }) => type)));
  expect(followed.seen.at(-1)?.type).toBe("session.deleted");
}

test("each type that can be produced is: listed, streamed, and asked for by name", async () => {
  await using engine = await startEngine(play);
  const seen: Seen = new Map();
  const { sessions, agents } = engine.client.beta;
  const idle = async (id: string) =>
    expect.poll(async () => (await sessions.retrieve(id)).status, { timeout: 5000 }).toBe("idle");

  let id = await engine.session();
  await watched(engine, seen, id, async () => {
    await engine.send(id, text("Make trouble."));
    await expect.poll(async () => (await engine.of(id, "session.status_rescheduled")).length).toBe(1);
    await idle(id);
    await engine.send(id, text("Compact."));
    await engine.settled(id);
    await sessions.update(id, { title: "renamed" });
    await engine.send(id, text("Think."));
    await engine.settled(id);
  });

  const tools = [
    { type: "agent_toolset_20260401" as const, default_config: { permission_policy: { type: "always_ask" as const } } },
    { type: "custom" as const, name: "boss", description: "Asks.", input_schema: { type: "object" as const } },
  ];
  id = await engine.session({ tools });
  await watched(engine, seen, id, async () => {
    await engine.send(id, text("Use tools."));
    await engine.settled(id);
    const [use] = await engine.of(id, "agent.tool_use");
    const [custom] = await engine.of(id, "agent.custom_tool_use");
    await engine.send(
      id,
      { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: "allow" },
      { type: "user.custom_tool_result", custom_tool_use_id: custom?.id ?? "" },
    );
    await engine.settled(id);
    await engine.send(id, text("Wait."));
    await expect.poll(async () => (await engine.of(id, "span.model_request_start")).length).toBe(3);
    await engine.send(id, { type: "user.interrupt" });
  });

  const helper = await agents.create({ name: "Helper", model: "claude-sonnet-5-5" });
  const roster = [helper.id, { type: "advisor" as const, model: "claude-opus-5-5" }];
  id = await engine.session({ multiagent: { type: "coordinator", agents: roster } });
  await watched(engine, seen, id, async () => {
    await engine.send(id, text("Get help."));
    await engine.settled(id);
    await engine.send(id, text("Get advice."));
    await engine.settled(id);
    const archived = await sessions.archive(id);
    expect(archived.status).toBe("terminated");
  });

  const wanted = Object.entries(TYPES).flatMap(([type, how]) => (how === "produced" ? [type] : []));
  expect([...seen.keys()].sort()).toEqual(wanted.sort());

  // Each type can be asked for by its name, also those that never come.
  id = await engine.session({}, { initial_events: [text("Hello.")] });
  await engine.settled(id);
  const types = Object.keys(TYPES).filter((type) => type !== "session.deleted") as BetaManagedAgentsSessionEventType[];
  expect((await sessions.events.list(id, { types })).data).toEqual(await engine.events(id));
});
