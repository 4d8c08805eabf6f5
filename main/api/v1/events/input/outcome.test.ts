import { toFile } from "@anthropic-ai/sdk";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const outcome = (more: Record<string, unknown> = {}) => ({
  type: "user.define_outcome" as const,
  description: "A report",
  rubric: { type: "text" as const, content: "It has numbers." },
  ...more,
});
const message = { type: "user.message" as const, content: [{ type: "text" as const, text: "And soon." }] };
const usage = {
  input_tokens: 0,
  output_tokens: 0,
  cache_read_input_tokens: 0,
  cache_creation_input_tokens: 0,
  speed: null,
};

async function define(id: string, more: Record<string, unknown> = {}) {
  const { data } = await rig.client.beta.sessions.events.send(id, { events: [outcome(more)] });
  const [event] = data ?? [];
  if (event?.type !== "user.define_outcome") throw new Error("no outcome came back");
  return event;
}

const evaluations = async (id: string) => (await rig.client.beta.sessions.retrieve(id)).outcome_evaluations;

describe("user.define_outcome", () => {
  test("is processed on receipt, given an id and the default number of iterations, and wakes the session", async () => {
    const id = await rig.session();
    const event = await define(id);
    expect(event).toMatchObject({
      ...outcome(),
      outcome_id: expect.stringMatching(/^outc_/),
      max_iterations: 3,
      processed_at: expect.any(String),
    });
    expect(rig.orchestrator.wakes.at(-1)).toEqual({ sessionId: id, reason: "client_event" });
    expect((await rig.client.beta.sessions.events.list(id)).data).toEqual([event]);
    expect((await define(await rig.session(), { max_iterations: null })).max_iterations).toBe(3);
    expect((await define(await rig.session(), { max_iterations: 20 })).max_iterations).toBe(20);
  });

  test("the session and the list show its state from pending to the verdict", async () => {
    const id = await rig.session();
    expect(await evaluations(id)).toEqual([]);
    const event = await define(id);
    const shown = {
      type: "outcome_evaluation",
      outcome_id: event.outcome_id,
      description: "A report",
      result: "pending",
      iteration: 0,
      explanation: null,
      completed_at: null,
    };
    expect(await evaluations(id)).toEqual([shown]);
    await rig.emit(id, { type: "longhaul.inputs_consumed", event_ids: [event.id] });
    expect(await evaluations(id)).toEqual([{ ...shown, result: "running" }]);
    const { outcome_id } = event;
    await rig.emit(id, { type: "span.outcome_evaluation_start", id: "sevt_eval", outcome_id, iteration: 0 });
    expect(await evaluations(id)).toEqual([{ ...shown, result: "evaluating" }]);
    const end = {
      type: "span.outcome_evaluation_end" as const,
      outcome_evaluation_start_id: "sevt_eval",
      outcome_id,
      usage,
    };
    await rig.emit(id, { ...end, result: "needs_revision", explanation: "No numbers.", iteration: 0 });
    const revising = { ...shown, result: "running", iteration: 1, explanation: "No numbers." };
    expect(await evaluations(id)).toEqual([revising]);
    await rig.emit(id, { ...end, result: "satisfied", explanation: "Numbers.", iteration: 1 });
    const done = { ...revising, result: "satisfied", explanation: "Numbers.", completed_at: expect.any(String) };
    expect(await evaluations(id)).toEqual([done]);
    const listed = (await rig.client.beta.sessions.list({ limit: 1 })).data[0];
    expect(listed).toMatchObject({ id, outcome_evaluations: [done] });
    const next = await define(id);
    expect((await evaluations(id)).map((each) => [each.outcome_id, each.result])).toEqual([
      [outcome_id, "satisfied"],
      [next.outcome_id, "pending"],
    ]);
  });

  test("there is one at a time", async () => {
    const id = await rig.session();
    const event = await define(id);
    const second = await refusalOf(define(id));
    expect(second.status).toBe(400);
    expect(second.message).toContain(`\`events[0]\`: the session still works towards outcome ${event.outcome_id}.`);
    const both = rig.client.beta.sessions.events.send(await rig.session(), { events: [outcome(), message, outcome()] });
    expect((await refusalOf(both)).message).toContain("`events[2]`: a session works towards one outcome at a time.");
    const racing = await rig.session();
    const results = await Promise.allSettled([define(racing), define(racing), define(racing)]);
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  test("is one of a session's first events, once", async () => {
    const id = await rig.session({ initial_events: [outcome({ max_iterations: 5 }), message] });
    const { data } = await rig.client.beta.sessions.events.list(id);
    expect(data.map(({ type }) => type)).toEqual(["user.define_outcome", "user.message"]);
    expect(data[0]).toMatchObject({ max_iterations: 5, outcome_id: expect.stringMatching(/^outc_/) });
    expect(await evaluations(id)).toMatchObject([{ result: "pending" }]);
    const two = await refusalOf(rig.session({ initial_events: [outcome(), outcome()] }));
    expect(two.message).toContain("`initial_events` may hold one user.define_outcome");
    const bad = await refusalOf(
      rig.session({ initial_events: [outcome({ rubric: { type: "file", file_id: "file_no" } })] }),
    );
    expect(bad.message).toContain("`initial_events[0].rubric.file_id`: there is no file");
  });

  test("a rubric in a file is stored as its text", async () => {
    const upload = async (bytes: string | Buffer, name = "rubric.md") =>
      (await rig.client.beta.files.upload({ file: await toFile(Buffer.from(bytes), name) })).id;
    const file_id = await upload("# Criteria\n\nIt has numbers: ½ €.\n");
    const id = await rig.session();
    const event = await define(id, { rubric: { type: "file", file_id } });
    expect(event.rubric).toEqual({ type: "text", content: "# Criteria\n\nIt has numbers: ½ €.\n" });
    await rig.client.beta.files.delete(file_id);
    expect((await rig.client.beta.sessions.events.list(id)).data).toEqual([event]);

    const refused = async (bytes: string | Buffer, name?: string) => {
      const rubric = { type: "file", file_id: await upload(bytes, name) };
      const refusal = await refusalOf(define(await rig.session(), { rubric }));
      expect(refusal.status).toBe(400);
      return refusal.message;
    };
    expect(await refused(Buffer.from([0xff, 0xfe, 0x00]), "a.bin")).toMatch(/is not UTF-8 text/);
    expect(await refused(" \n")).toMatch(/is empty/);
    expect(await refused("a\0b")).toMatch(/NUL/);
    expect(await refused("x".repeat(262_145))).toMatch(/more than 262144 characters/);
    expect(await refused("x".repeat(1_048_577))).toMatch(/more than 262144 characters/);
  });

  test("the longest rubric is kept whole", async () => {
    const content = "é".repeat(262_144);
    const id = await rig.session();
    expect((await define(id, { rubric: { type: "text", content } })).rubric).toEqual({ type: "text", content });
    expect((await rig.client.beta.sessions.events.list(id)).data[0]).toMatchObject({ rubric: { content } });
  });

  test.each<[string, Record<string, unknown>, RegExp]>([
    ["no rubric", { rubric: undefined }, /`events\[0\]\.rubric` is required/],
    ["no description", { description: undefined }, /`events\[0\]\.description` is required/],
    ["a blank description", { description: " " }, /`events\[0\]\.description` must contain more than white space/],
    ["a rubric as a plain text", { rubric: "good" }, /`events\[0\]\.rubric` must be an object/],
    ["another kind of rubric", { rubric: { type: "url" } }, /`events\[0\]\.rubric\.type` must be one of .*text.*file/],
    ["a blank rubric", { rubric: { type: "text", content: "\n" } }, /more than white space/],
    [
      "a long rubric",
      { rubric: { type: "text", content: "x".repeat(262_145) } },
      /`events\[0\]\.rubric\.content` must have at most 262144 characters \(it has 262145\)/,
    ],
    ["an unknown file", { rubric: { type: "file", file_id: "file_no" } }, /there is no file .*file_no/],
    ["no iterations", { max_iterations: 0 }, /`events\[0\]\.max_iterations` must be at least 1/],
    ["21 iterations", { max_iterations: 21 }, /`events\[0\]\.max_iterations` must be at most 20/],
    ["half an iteration", { max_iterations: 1.5 }, /`events\[0\]\.max_iterations` must be a whole number/],
    ["its own id", { outcome_id: "outc_1" }, /Unknown field `events\[0\]\.outcome_id`/],
  ])("refuses %s", async (_, more, words) => {
    const id = await rig.session();
    const refusal = await refusalOf(define(id, more));
    expect(refusal.message).toMatch(words);
    expect(refusal.status).toBe(400);
    expect((await rig.client.beta.sessions.events.list(id)).data).toEqual([]);
  });

  test("archiving a session ends its outcome", async () => {
    const id = await rig.session();
    await define(id);
    await rig.client.beta.sessions.archive(id);
    expect(await evaluations(id)).toMatchObject([{ result: "interrupted", completed_at: expect.any(String) }]);
    expect((await refusalOf(define(id))).message).toMatch(/has ended/);
  });
});
