/** Outcomes and their grader for tests. */
import { type Reply, type ScriptRequest, type ScriptTurn, say } from "../../../../e2e/model_server/script.ts";
import type { EventDraft } from "../../../contract/events.ts";
import type { Outcome } from "../../../contract/outcome/outcomes.ts";
import { type Rig, startRig } from "../../../orchestration/testing/rig.ts";

/** True for a request of the grader. */
export function isGrading({ body }: { body: ScriptRequest["body"] | null }): boolean {
  return body?.tools?.some(({ name }) => name === "report_verdict") === true;
}

export const bash = (command: string): Reply => ({
  content: [{ type: "tool_use", name: "bash", input: { command } }],
});

export const verdict = (result: string, explanation: string): Reply => ({
  content: [
    { type: "text", text: "I looked at it." },
    { type: "tool_use", name: "report_verdict", input: { result, explanation } },
  ],
});

export function define(more: Record<string, unknown> = {}): EventDraft {
  return {
    type: "user.define_outcome",
    outcome_id: "outc_01TEST",
    description: "A greeting in hello.txt",
    rubric: { type: "text", content: "The file says hello." },
    max_iterations: 3,
    ...more,
  } as EventDraft;
}

type Answer = ScriptTurn | Promise<ScriptTurn>;

/** A script that grades with one function and works with another; without the latter the agent is done at once. */
export function script(grade: () => Answer, work: (request: ScriptRequest) => Answer = () => say("Done.")) {
  return (request: ScriptRequest): Answer => (isGrading(request) ? grade() : work(request));
}

/** A rig with one session that is given an outcome and has run until it settled. */
export async function runOutcome(
  answers: (request: ScriptRequest) => Answer,
  more: Record<string, unknown> = {},
): Promise<{ rig: Rig; id: string }> {
  const rig = await startRig(answers);
  const id = await rig.create();
  await send(rig, id, define(more));
  return { rig, id };
}

/** Sends events and waits until the session settles. */
export async function send(rig: Rig, id: string, ...events: EventDraft[]): Promise<void> {
  await rig.send(id, ...events);
  await rig.orchestrator.wake(id, "client_event");
  await rig.orchestrator.settled(id);
}

/** The session's newest outcome. */
export async function outcomeOf(rig: Rig, id: string): Promise<Outcome | undefined> {
  return (await rig.ledger.getSession(id))?.fold.outcomes.at(-1);
}

/** The requests of the grader, in order. */
export function gradings(rig: Rig) {
  return rig.server.requests.filter(isGrading);
}
