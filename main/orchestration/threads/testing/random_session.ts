/** One session of several threads in which everything that can happen happens at random, engine deaths included. */
import {
  call,
  overloaded,
  type ReplyBlock,
  type ScriptRequest,
  type ScriptTurn,
  say,
} from "../../../../e2e/model_server/script.ts";
import type { EventDraft, SessionSnapshot } from "../../../contract/events.ts";
import type { SessionFold } from "../../../contract/fold.ts";
import { asksPerson, waitsForClient } from "../../../contract/fold_calls.ts";
import { newId } from "../../../contract/ids.ts";
import { activeOutcome } from "../../../contract/outcome/outcomes.ts";
import { archivedReport } from "../../../contract/threads/archived.ts";
import { liveThreads, openCalls } from "../../../contract/threads/view.ts";
import { threadWork, unfinishedWork } from "../../../contract/work.ts";
import { define, isGrading, verdict } from "../../../harness/outcome/testing/outcomes.ts";
import { message, type Rig, snapshot, startRig, toolset } from "../../testing/rig.ts";

/** Numbers from 0 to below 1, the same for the same seed. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Answers before the models have enough of it and only end their turns. */
const WILD_ANSWERS = 60;
const WILD_MS = 1_000;
const MAX_APPENDS = 3_000;
const PRICED = { id: "claude-sonnet-4-6" } as const;

export interface Ended {
  rig: Rig;
  id: string;
  deaths: number;
}

/** Runs a session to its end. @throws Error when it does not come to an end */
export async function runRandomSession(seed: number): Promise<Ended> {
  const random = randomOf(seed);
  const script = new RandomModel(random);
  const rig = await startRig((request) => script.answer(request));
  const id = newId("session");
  const budget = random() < 0.4 ? limit(1 + Math.floor(random() * 60)) : null;
  await rig.ledger.createSession(id, [{ type: "longhaul.session_created", session: { ...lead(), budget } }]);
  const engine = new MortalEngine(rig, random);
  try {
    await rig.send(id, ...(random() < 0.4 ? [define({ outcome_id: newId("outcome") })] : [message("Begin.")]));
    await engine.wake(id);
    const end = Date.now() + WILD_MS;
    while (Date.now() < end) {
      await pause(random() * 25);
      const drafts = clientActs(await foldOf(rig, id), random);
      if (drafts.length > 0) await rig.send(id, ...drafts);
      if (random() < 0.3 || drafts.length > 0) await engine.wake(id);
    }
    script.calm();
    await bringToEnd(rig, id, engine);
  } finally {
    engine.stop();
  }
  return { rig, id, deaths: engine.deaths };
}

/** Answers everything that waits, raises the budget and lets dead turns go on until nothing is left to do. */
async function bringToEnd(rig: Rig, id: string, engine: MortalEngine): Promise<void> {
  await rig.send(id, { type: "session.updated", budget: null }, { type: "longhaul.resume_requested", by: "user" });
  await engine.wake(id);
  const end = Date.now() + 8_000;
  for (;;) {
    await pause(10);
    await engine.current.settled(id);
    const fold = await foldOf(rig, id);
    const drafts = openCalls(fold).flatMap((open) => (waitsForClient(open) ? [answerOf(open, "allow")] : []));
    if (drafts.length > 0) {
      await rig.send(id, ...drafts);
      await engine.wake(id);
    } else if (unfinishedWork(fold) === "stopped") {
      await rig.send(id, { type: "longhaul.resume_requested", by: "user" });
      await engine.wake(id);
    } else if (unfinishedWork(fold) === "none" && engine.current.activity(id) === null) {
      return;
    }
    if (Date.now() > end) throw new Error(`no end: ${unfinishedWork(fold)} ${JSON.stringify(fold)}`);
  }
}

/** An orchestrator that is replaced without warning in the middle of what it does. */
class MortalEngine {
  readonly #rig: Rig;
  current: Rig["orchestrator"];
  deaths = 0;
  readonly #unsubscribe: () => void;

  constructor(rig: Rig, random: () => number) {
    this.#rig = rig;
    this.current = rig.orchestrator;
    let appends = 0;
    let left = 3 + Math.floor(random() * 40);
    this.#unsubscribe = rig.ledger.subscribe(() => {
      appends += 1;
      // A session that spins would never let this test look at it.
      if (appends > MAX_APPENDS) void this.current.drain();
      left -= 1;
      if (left > 0 || this.deaths >= 8) return;
      left = 3 + Math.floor(random() * 40);
      this.deaths += 1;
      this.current = this.#rig.restart();
      void this.current.recover(true);
    });
  }

  wake(id: string): Promise<void> {
    return this.current.wake(id, "client_event");
  }

  stop(): void {
    this.#unsubscribe();
  }
}

class RandomModel {
  readonly #random: () => number;
  #left = WILD_ANSWERS;

  constructor(random: () => number) {
    this.#random = random;
  }

  calm(): void {
    this.#left = 0;
  }

  async answer(request: ScriptRequest): Promise<ScriptTurn> {
    const random = this.#random;
    const system = JSON.stringify(request.body.system);
    this.#left -= 1;
    const wild = this.#left > 0;
    if (wild && random() < 0.3) await pause(random() * 20);
    const grading = isGrading(request);
    if (wild && random() < 0.06) return overloaded();
    if (wild && random() < 0.04) return refused();
    if (grading) return verdict(wild && random() < 0.5 ? "needs_revision" : "satisfied", "Because.");
    if (!wild || system.includes("You advise another agent")) return costly(say("Done."), random);
    if (system.includes("You are worker")) return costly(workerTurn(random), random);
    return costly(leadTurn(random), random);
  }
}

function costly(turn: ScriptTurn, random: () => number): ScriptTurn {
  return "content" in turn && random() < 0.3 ? { ...turn, output_tokens: 8_000 } : turn;
}

const refused = (): ScriptTurn => ({
  status: 400,
  error: { type: "invalid_request_error", message: "The prompt cannot be used." },
});

type Call = { name: string; input: Record<string, unknown> };
const ALLOWED: Call = { name: "read", input: { file_path: "/workspace/a" } };
const ASKS: Call = { name: "bash", input: { command: "make" } };
const CUSTOM: Call = { name: "ticket", input: { title: "x" } };
const NONE: Call = { name: "nothing_such", input: {} };

function workerTurn(random: () => number): ScriptTurn {
  if (random() < 0.35) return say("The worker is done.");
  return call(...some([ALLOWED, ASKS, CUSTOM, NONE], random));
}

function leadTurn(random: () => number): ScriptTurn {
  if (random() < 0.15) return say("The lead rests.");
  const spawn: Call = { name: "send_to_agent", input: { agent: "worker", message: "Work." } };
  const again: Call = { name: "send_to_agent", input: { thread_id: "worker", message: "More." } };
  const advice: Call = { name: "consult_advisor", input: { question: "How?" } };
  const calls = some([spawn, spawn, again, advice, ALLOWED, ASKS, CUSTOM, { name: "list_agents", input: {} }], random);
  const turn = call(...calls);
  if (random() < 0.3) (turn.content as ReplyBlock[]).unshift({ type: "text", text: "I do this." });
  return turn;
}

function some(calls: readonly Call[], random: () => number): Call[] {
  const picked = calls.filter(() => random() < 0.3);
  return picked.length > 0 ? picked : [calls[Math.floor(random() * calls.length)] ?? ALLOWED];
}

/** What a client may send now; mostly nothing. */
function clientActs(fold: SessionFold, random: () => number): EventDraft[] {
  const drafts: EventDraft[] = openCalls(fold).flatMap((open) =>
    waitsForClient(open) && random() < 0.5 ? [answerOf(open, random() < 0.7 ? "allow" : "deny")] : [],
  );
  // A session that rests is soon given something to do.
  if (fold.phase === "idle" && openCalls(fold).length === 0 && random() < 0.3) drafts.push(message("Go on."));
  const dice = random();
  if (dice < 0.04) drafts.push({ type: "user.interrupt" });
  else if (dice < 0.08) {
    const threads = liveThreads(fold);
    const session_thread_id = threads[Math.floor(random() * threads.length)] ?? fold.primary_thread_id;
    drafts.push({ type: "user.interrupt", session_thread_id });
  } else if (dice < 0.14) drafts.push(message("And this."));
  else if (dice < 0.18)
    drafts.push({ type: "system.message", content: [{ type: "text", text: "Be brief." }] }, message("Now."));
  else if (dice < 0.2) drafts.push({ type: "session.updated", budget: random() < 0.5 ? null : limit(500) });
  else if (dice < 0.23) drafts.push({ type: "longhaul.resume_requested", by: "user" });
  else if (dice < 0.26 && activeOutcome(fold) === null) drafts.push(define({ outcome_id: newId("outcome") }));
  else if (dice < 0.3 && drafts.length === 0) drafts.push(...archiving(fold));
  return drafts;
}

/** The first spawned thread that is at rest is archived, as the API does it. */
function archiving(fold: SessionFold): EventDraft[] {
  const resting = fold.threads.find(
    (thread) => thread.archived_at === null && thread.phase === "idle" && threadWork(thread, 0) !== "now",
  );
  if (resting === undefined) return [];
  const over = { agent_name: resting.name, session_thread_id: resting.id };
  return [...archivedReport(fold, resting.id), { type: "session.thread_status_terminated", ...over }];
}

function answerOf(open: ReturnType<typeof openCalls>[number], result: "allow" | "deny"): EventDraft {
  const { id, thread_id } = open;
  if (asksPerson(open))
    return { type: "user.tool_confirmation", tool_use_id: id, result, session_thread_id: thread_id };
  const content = [{ type: "text" as const, text: "Filed." }];
  return { type: "user.custom_tool_result", custom_tool_use_id: id, content, session_thread_id: thread_id };
}

function lead(): SessionSnapshot {
  const tools = [
    {
      ...toolset("always_ask"),
      configs: [{ name: "read", enabled: true, permission_policy: { type: "always_allow" } }],
    },
    {
      type: "custom",
      name: "ticket",
      description: "Files a ticket.",
      input_schema: { type: "object", properties: {} },
    },
  ] as SessionSnapshot["agent"]["tools"];
  const { multiagent: _, ...agent } = snapshot({
    name: "worker",
    system: "You are worker.",
    model: PRICED,
    tools,
  }).agent;
  const agents = [
    { ...agent, id: newId("agent"), description: "Works." },
    { type: "advisor" as const, model: PRICED.id },
  ];
  return snapshot({
    name: "lead",
    system: "You are lead.",
    model: PRICED,
    tools,
    multiagent: { type: "coordinator", agents },
  });
}

const limit = (cents: number) =>
  ({ type: "limit", max_list_cost: { amount: String(cents), currency: "USD" } }) as const;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

async function foldOf(rig: Rig, id: string): Promise<SessionFold> {
  const fold = (await rig.ledger.getSession(id))?.fold;
  if (fold === undefined) throw new Error("no session");
  return fold;
}
