import { afterEach, expect, test } from "vitest";
import {
  call,
  type Reply,
  type ScriptRequest,
  type ScriptTurn,
  say,
  withWeb,
} from "../../../e2e/model_server/script.ts";
import { addCost, addSearches, NO_COST } from "../../contract/cost/cost.ts";
import { LIST_PRICES, priceOf } from "../../contract/cost/prices.ts";
import type { Usage } from "../../contract/events.ts";
import { message, of, type Rig, snapshot, startRig, toolset } from "../../orchestration/testing/rig.ts";
import { rebuildRequest } from "../context/rebuild.ts";
import type { HarnessPorts } from "../ports.ts";
import { SessionView } from "../session_view.ts";
import { step } from "../step.ts";

let rig: Rig;
afterEach(() => rig.close());

const PAGE = "https://docs.example.com/guide";
const SEARCH: Reply = {
  content: [
    { type: "web_search", results: [{ url: PAGE, title: "The guide" }] },
    { type: "text", text: "It is 42." },
  ],
};
const FETCH: Reply = { content: [{ type: "web_fetch", url: PAGE, title: "Guide", text: "Turn it on." }] };

/** Searches, then fetches what was found, then says what it read. */
function research(request: ScriptRequest): ScriptTurn {
  if (request.turn === 0) return call({ name: "web_search", input: { query: "guide" } });
  if (request.turn === 1) return call({ name: "web_fetch", input: { url: PAGE } });
  return say("Read it.");
}

const web = ({ body }: ScriptRequest): ScriptTurn => (body.tools?.[0]?.["name"] === "web_search" ? SEARCH : FETCH);

const phase = async (id: string) => (await rig.ledger.getSession(id))?.fold.phase;
const rejected = () => rig.server.requests.filter((request) => request.rejected !== null);

test("a session searches and fetches as with any tool, and its usage has both kinds of requests", async () => {
  rig = await startRig(withWeb(research, web));
  const id = await rig.create("Find the guide.", { model: { id: "claude-sonnet-4-6" } });
  await rig.orchestrator.settled(id);
  const events = await rig.events(id);
  expect(of(events, "agent.tool_use").map((event) => [event.name, event.evaluated_permission])).toEqual([
    ["web_search", "allow"],
    ["web_fetch", "allow"],
  ]);
  expect(of(events, "agent.tool_result")).toMatchObject([
    { is_error: false, content: [{ type: "text" }, { type: "text", text: "What they say:\n\nIt is 42." }] },
    { is_error: false, content: [{ type: "document", source: { type: "text", data: "Turn it on." } }] },
  ]);
  // No sandbox was needed for it.
  expect(rig.sandbox.provisions).toBe(0);
  expect(rejected()).toEqual([]);
  const fold = (await rig.ledger.getSession(id))?.fold;
  expect(fold?.usage.server_tool_use).toEqual({ web_search_requests: 1, web_fetch_requests: 1 });
  const inside = of(events, "span.model_request_end").reduce((sum, event) => sum + event.model_usage.input_tokens, 0);
  const beside = of(events, "longhaul.web_request").reduce((sum, event) => sum + event.usage.input_tokens, 0);
  expect(beside).toBeGreaterThan(0);
  expect(fold?.usage.input_tokens).toBe(inside + beside);
  const tokens = addCost(NO_COST, fold?.usage as Usage, priceOf(LIST_PRICES, "claude-sonnet-4-6"));
  expect(fold?.cost).toEqual(addSearches(tokens, 1));
  for (const { event } of events) {
    if (event.type === "span.model_request_start") {
      expect(await rebuildRequest(rig.ports, id, event.id)).toMatchObject({ matches: true });
    }
  }
});

test("the tools are offered as the agent's settings say, and a call of one that is off is refused", async () => {
  rig = await startRig((request) =>
    request.turn === 0 ? call({ name: "web_search", input: { query: "x" } }) : say("Then not."),
  );
  const off = { enabled: false, permission_policy: { type: "always_allow" as const } };
  const tools = [{ ...toolset("always_allow"), configs: [{ name: "web_search", type: "web_search", ...off }] }];
  const id = await rig.create("Go.", { tools: tools as ReturnType<typeof toolset>[] });
  await rig.orchestrator.settled(id);
  const offered = rig.server.requests[0]?.body?.tools?.map((tool) => tool["name"]);
  expect(offered).toEqual(["bash", "read", "write", "edit", "glob", "grep", "web_fetch"]);
  const [result] = of(await rig.events(id), "agent.tool_result");
  expect(result).toMatchObject({ is_error: true });
  expect(JSON.stringify(result?.content)).toContain("There is no tool named web_search");
  expect(rig.server.requests).toHaveLength(2);
});

test("always_ask holds a search until it is confirmed, and a denial sends nothing", async () => {
  rig = await startRig(
    withWeb((request) => (request.turn < 2 ? research({ ...request, turn: 0 }) : say("Done.")), web),
  );
  const id = await rig.create("Find it.", { tools: [toolset("always_ask")] });
  await rig.orchestrator.settled(id);
  const uses = async () => of(await rig.events(id), "agent.tool_use");
  const answer = async (index: number, verdict: "allow" | "deny") => {
    const use = (await uses())[index];
    expect(use?.evaluated_permission).toBe("ask");
    await rig.send(id, { type: "user.tool_confirmation", tool_use_id: use?.id ?? "", result: verdict });
    await rig.orchestrator.wake(id, "client_event");
    await rig.orchestrator.settled(id);
  };
  expect(rig.server.requests).toHaveLength(1);
  await answer(0, "allow");
  await answer(1, "deny");
  expect(of(await rig.events(id), "agent.tool_result").map((event) => event.is_error)).toEqual([false, true]);
  expect(of(await rig.events(id), "longhaul.web_request")).toHaveLength(1);
});

test("a session of a self-hosted environment gets its web results from the server", async () => {
  rig = await startRig(withWeb(research, web));
  const id = await rig.create();
  const hosted = snapshot();
  hosted.environment = { ...hosted.environment, config: { type: "self_hosted" } };
  const session = `${id}x`;
  await rig.ledger.createSession(session, [{ type: "longhaul.session_created", session: hosted }]);
  await rig.send(session, message("Find the guide."));
  await rig.orchestrator.wake(session, "client_event");
  await rig.orchestrator.settled(session);
  expect(of(await rig.events(session), "agent.tool_result").map((event) => event.is_error)).toEqual([false, false]);
});

test("a call that was in flight when its process died is made again", async () => {
  let hangs = true;
  rig = await startRig(
    withWeb(research, (request) => {
      if (!hangs) return web(request);
      hangs = false;
      return { kind: "hang" };
    }),
  );
  const id = await rig.create();
  await rig.send(id, message("Find the guide."));
  const dead = { id: "lhh_dead", boot_id: "earlier", pid: 7, pid_started_at: 7 };
  const lease = await rig.ledger.acquireLease(id, dead, 30_000, "client_event");
  const view = await SessionView.open(rig.ledger, id);
  const going = new AbortController();
  const signals = { interrupt: new AbortController().signal, shutdown: going.signal };
  const run = (ports: HarnessPorts) =>
    step(view.primary, ports, (events) => view.emit(events, lease ?? { token: 0 }), signals);
  // Message to answer, then the call, in the middle of which the process goes away.
  await run(rig.ports);
  const calling = run(rig.ports);
  await expect.poll(() => rig.server.requests.length).toBe(2);
  going.abort();
  await calling;
  view.close();
  expect(of(await rig.events(id), "agent.tool_result")).toEqual([]);
  await rig.restart().recover(true);
  await expect.poll(() => phase(id)).toBe("idle");
  const events = await rig.events(id);
  expect(of(events, "longhaul.call_settled")).toMatchObject([{ how: "run_again" }]);
  expect(of(events, "longhaul.outcome_unknown")).toEqual([]);
  expect(of(events, "agent.tool_result").map((event) => event.is_error)).toEqual([false, false]);
  expect(rejected()).toEqual([]);
});

test("an interrupt stops a search in the middle", async () => {
  rig = await startRig(withWeb(research, () => ({ kind: "hang" })));
  const id = await rig.create("Find the guide.");
  await expect.poll(() => rig.server.requests.length).toBe(2);
  await rig.send(id, { type: "user.interrupt" });
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
  const [result] = of(await rig.events(id), "agent.tool_result");
  expect(JSON.stringify(result)).toContain("interrupted before completion");
  expect(await phase(id)).toBe("idle");
  await expect.poll(() => rig.server.requests[1]?.aborted).toBe(true);
});

test("a long page and a PDF are shortened when the history no longer fits", async () => {
  const long = `begin ${"x".repeat(50_000)} end`;
  let full = true;
  rig = await startRig(
    withWeb(
      (request) => {
        const { body } = request;
        const compacting = body.tool_choice !== undefined;
        if (request.turn === 1 && full) {
          full = !compacting;
          if (!compacting)
            return { status: 400, error: { type: "invalid_request_error", message: "prompt is too long" } };
          return say("A summary.");
        }
        return request.turn === 0 && full
          ? call({ name: "web_fetch", input: { url: PAGE } }, { name: "web_fetch", input: { url: `${PAGE}.pdf` } })
          : say("Done.");
      },
      ({ body }) =>
        JSON.stringify(body).includes(".pdf")
          ? { content: [{ type: "web_fetch", url: `${PAGE}.pdf`, pdf: "JVBERi0x".repeat(1_000) }] }
          : { content: [{ type: "web_fetch", url: PAGE, text: long }] },
    ),
  );
  const id = await rig.create(`Read ${PAGE} and ${PAGE}.pdf`);
  await rig.orchestrator.settled(id);
  const compaction = rig.server.requests.find(
    ({ body }) => body?.tool_choice !== undefined && body.tools?.[0]?.["name"] === "bash",
  );
  const raw = compaction?.raw.toString() ?? "";
  expect(raw.length).toBeLessThan(20_000);
  expect(raw).toContain("characters left out …");
  expect(raw).toContain("[document of 8000 characters left out]");
  expect(rejected()).toEqual([]);
  expect(of(await rig.events(id), "longhaul.compaction")).toHaveLength(1);
});

test("a spawned thread searches too, and both it and the session are charged", async () => {
  const lead = ({ turn, lastText }: ScriptRequest): ScriptTurn => {
    if (turn === 0) return call({ name: "send_to_agent", input: { agent: "scout", message: "Find the guide." } });
    return say(lastText.includes("Message from the agent") ? "Thanks." : "Waiting.");
  };
  rig = await startRig(
    withWeb(
      (request) => (JSON.stringify(request.body.system).includes("You are scout.") ? research : lead)(request),
      web,
    ),
  );
  const { multiagent: _, ...scout } = snapshot({ name: "scout", system: "You are scout." }).agent;
  const agents = [{ ...scout, id: "agent_scout", description: "Finds things." }];
  const id = await rig.create("Go.", { system: "You are lead.", multiagent: { type: "coordinator", agents } });
  await rig.orchestrator.settled(id);
  const fold = (await rig.ledger.getSession(id))?.fold;
  const [thread] = fold?.threads ?? [];
  const requests = { web_search_requests: 1, web_fetch_requests: 1 };
  expect(thread?.usage.server_tool_use).toEqual(requests);
  expect(fold?.usage.server_tool_use).toEqual(requests);
  expect(fold?.primary?.usage.server_tool_use).toBeUndefined();
  expect(fold?.usage.input_tokens).toBe((thread?.usage.input_tokens ?? 0) + (fold?.primary?.usage.input_tokens ?? 0));
  const events = await rig.events(id);
  expect(of(events, "agent.tool_result").map((event) => event.is_error)).toEqual([false, false, false]);
  expect(of(events, "session.usage").at(-1)?.usage.server_tool_use).toEqual(requests);
  expect(rejected()).toEqual([]);
});
