/** A process dies around each append of a session that works on an outcome; the next one must end as if nothing had been. */
import { afterEach, describe, expect, test } from "vitest";
import { type ScriptRequest, type ScriptTurn, say } from "../../../e2e/model_server/script.ts";
import type { StoredEvent } from "../../contract/events.ts";
import { of, type Rig, startRig } from "../../orchestration/testing/rig.ts";
import type { Lease } from "../../session/ledger.ts";
import { SessionView } from "../session_view.ts";
import { step } from "../step.ts";
import { bash, define, gradings, isGrading, outcomeOf, script, verdict } from "./testing/outcomes.ts";

let rig: Rig;
afterEach(() => rig.close());

const DEAD = { id: "lhh_dead", boot_id: "earlier", pid: 7, pid_started_at: 7 };
const NEVER = new AbortController().signal;

class Died extends Error {}

/** One tool round, a verdict that asks for a revision, the revision, a verdict that is content. Repeats answer alike. */
function task(request: ScriptRequest): ScriptTurn {
  if (isGrading(request)) {
    return request.lastText.includes("REVISED") ? verdict("satisfied", "Good.") : verdict("needs_revision", "Bad.");
  }
  if (request.turn === 0) return bash("echo hello > hello.txt");
  return say(request.lastText.includes("<evaluation>") ? "Now it is REVISED." : "It is done.");
}

async function start(): Promise<string> {
  rig = await startRig(task);
  const id = await rig.create();
  await rig.send(id, define());
  return id;
}

type Draft = Parameters<SessionView["emit"]>[0][number];

/** Runs the session as a process that dies before or right after the append that `dies` picks. False: it picked none. */
async function runAndDie(
  id: string,
  dies: (append: number, drafts: readonly Draft[]) => boolean,
  when: "before" | "after",
): Promise<boolean> {
  const lease = (await rig.ledger.acquireLease(id, DEAD, 30_000, "client_event")) as Lease;
  const view = await SessionView.open(rig.ledger, id);
  let appends = 0;
  let dead = false;
  const emit = async (drafts: readonly Draft[]): Promise<StoredEvent[]> => {
    appends += 1;
    const last = !dead && dies(appends, drafts);
    if (dead || (last && when === "before")) {
      dead = true;
      throw new Died();
    }
    const stored = await view.emit(drafts, lease);
    dead = last;
    if (dead) throw new Died();
    return stored;
  };
  const signals = { interrupt: NEVER, shutdown: NEVER };
  try {
    while ((await step(view.primary, rig.ports, emit, signals)) === "continue");
    return false;
  } catch (error) {
    if (!(error instanceof Died)) throw error;
    return true;
  } finally {
    view.close();
  }
}

async function finish(id: string): Promise<StoredEvent[]> {
  const next = rig.restart();
  await next.recover(true);
  await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase).toBe("idle");
  await next.settled(id);
  return rig.events(id);
}

/** What must be the same however often a process died on the way. */
function endOf(events: StoredEvent[]) {
  const starts = of(events, "span.outcome_evaluation_start");
  const ends = of(events, "span.outcome_evaluation_end");
  expect(ends.map(({ outcome_evaluation_start_id }) => outcome_evaluation_start_id)).toEqual(
    starts.map(({ id }) => id),
  );
  return {
    verdicts: ends.map(({ result, iteration, explanation }) => [iteration, result, explanation]),
    said: of(events, "agent.message").map(({ content }) => content),
    calls: of(events, "agent.tool_use").length,
    results: of(events, "agent.tool_result").length,
    told: of(events, "longhaul.continuation").length,
    rests: of(events, "session.status_idle").map(({ stop_reason }) => stop_reason.type),
  };
}

describe("a process that dies while an outcome is worked on", () => {
  test("every append: starts and ends pair up, no iteration counts twice, nothing is said or done twice", async () => {
    const whole = await start();
    await rig.orchestrator.wake(whole, "client_event");
    await rig.orchestrator.settled(whole);
    const wanted = endOf(await rig.events(whole));
    expect(wanted.verdicts).toEqual([
      [0, "needs_revision", "Bad."],
      [1, "satisfied", "Good."],
    ]);
    const usage = of(await rig.events(whole), "span.outcome_evaluation_end").map((end) => end.usage.output_tokens);
    await rig.close();
    let died = 0;
    for (let at = 1; ; at++) {
      let reached = false;
      for (const when of ["before", "after"] as const) {
        const id = await start();
        reached = await runAndDie(id, (append) => append === at, when);
        if (!reached) break;
        died += 1;
        const where = `${when} append ${at}`;
        const events = await finish(id);
        expect(endOf(events), where).toEqual(wanted);
        expect(await outcomeOf(rig, id), where).toMatchObject({ result: "satisfied", iteration: 1 });
        expect(
          of(events, "span.outcome_evaluation_end").map((end) => end.usage.output_tokens),
          where,
        ).toEqual(usage);
        expect(rig.server.requests.filter(({ rejected }) => rejected !== null)).toEqual([]);
        expect(rig.errors, where).toEqual([]);
        await rig.close();
      }
      if (!reached) break;
    }
    expect(died).toBeGreaterThanOrEqual(16);
    rig = await startRig([]);
  });

  test("while the grader's answer streams: the same request is made again", async () => {
    let asked = 0;
    rig = await startRig(
      script(() => {
        asked += 1;
        const answer = verdict("satisfied", "Good.");
        return asked === 1 ? { ...answer, fault: { after: 4, kind: "hang" } } : answer;
      }),
    );
    const id = await rig.create();
    await rig.send(id, define());
    const lease = (await rig.ledger.acquireLease(id, DEAD, 30_000, "client_event")) as Lease;
    const view = await SessionView.open(rig.ledger, id);
    const dying = new AbortController();
    const signals = { interrupt: NEVER, shutdown: dying.signal };
    const emit = (events: Parameters<SessionView["emit"]>[0]) => view.emit(events, lease);
    await step(view.primary, rig.ports, emit, signals);
    const grading = step(view.primary, rig.ports, emit, signals);
    await expect.poll(() => gradings(rig).length).toBe(1);
    dying.abort();
    await grading;
    view.close();
    expect(await outcomeOf(rig, id)).toMatchObject({ result: "evaluating", iteration: 0 });
    const events = await finish(id);
    expect(endOf(events).verdicts).toEqual([[0, "satisfied", "Good."]]);
    expect(of(events, "longhaul.model_request_abandoned")).toMatchObject([{ cause: "cut_off" }]);
    const [first, second] = gradings(rig);
    expect(second?.raw.equals(first?.raw ?? Buffer.alloc(0))).toBe(true);
  });

  test("and finds an interrupt when it is back: the evaluation ends with that, once", async () => {
    const id = await start();
    const starts = (_: number, drafts: readonly Draft[]) =>
      drafts.some(({ type }) => type === "span.outcome_evaluation_start");
    expect(await runAndDie(id, starts, "after")).toBe(true);
    await rig.send(id, { type: "user.interrupt" });
    const events = await finish(id);
    expect(endOf(events).verdicts).toEqual([[0, "interrupted", expect.any(String)]]);
    expect(gradings(rig)).toHaveLength(0);
    expect(of(events, "span.model_request_end")).toHaveLength(of(events, "span.model_request_start").length);
  });
});
