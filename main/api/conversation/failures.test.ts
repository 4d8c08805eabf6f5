/** Errors of a turn: what the client is told, and what becomes of the turn and of what is queued (contract.md §3.4). */
import { afterEach, expect, test } from "vitest";
import { call, type ScriptTurn, say } from "../../../e2e/model_server/script.ts";
import { type Engine, startEngine, text } from "../testing/engine.ts";

let engine: Engine;
afterEach(() => engine[Symbol.asyncDispose]());

const refused: ScriptTurn = { status: 400, error: { type: "invalid_request_error", message: "no such model" } };

/** A session whose first request fails for good, with a message that was sent while it was under way. */
async function died(...next: ScriptTurn[]): Promise<string> {
  let fail = (): void => undefined;
  const held = new Promise<void>((resolve) => {
    fail = resolve;
  });
  engine = await startEngine(async ({ index }) => {
    const turn = next[index - 1];
    if (turn !== undefined) return turn;
    await held;
    return refused;
  });
  const id = await engine.session({}, { initial_events: [text("First.")] });
  await expect.poll(() => engine.inside.server.requests.length).toBe(1);
  await engine.send(id, text("Second."), text("Third."));
  fail();
  await engine.settled(id);
  return id;
}

test("a dead turn flushes what is queued: it is processed, starts no turn, and the next prompt goes on with it", async () => {
  const id = await died(say("All three."));
  expect((await engine.events(id)).slice(-7)).toMatchObject([
    { type: "span.model_request_end", is_error: true },
    { type: "user.message", content: [{ text: "Second." }], processed_at: expect.any(String) },
    { type: "user.message", content: [{ text: "Third." }], processed_at: expect.any(String) },
    { type: "session.error", error: { type: "model_request_failed_error", retry_status: { type: "exhausted" } } },
    { type: "session.thread_status_idle", stop_reason: { type: "retries_exhausted" } },
    { type: "session.usage" },
    { type: "session.status_idle", stop_reason: { type: "retries_exhausted" }, stop_details: null },
  ]);
  expect((await engine.client.beta.sessions.retrieve(id)).status).toBe("idle");
  expect(engine.inside.server.requests).toHaveLength(1);
  await engine.send(id, text("Fourth."));
  await engine.settled(id);
  const asked = engine.inside.server.requests.at(-1)?.raw.toString() ?? "";
  expect(asked).toMatch(/First\..*Second\..*Third\..*Fourth\./);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
});

test("a person's resume goes on with what was flushed, too", async () => {
  const id = await died(say("All of it."));
  await engine.inside.send(id, { type: "longhaul.resume_requested", by: "user" });
  await engine.inside.orchestrator.wake(id, "user");
  await engine.settled(id);
  expect(engine.inside.server.requests.at(-1)?.raw.toString()).toMatch(/First\..*Second\..*Third\./);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
});

test("the same error is told as retrying, then once as exhausted", async () => {
  const limited: ScriptTurn = { status: 429, error: { type: "rate_limit_error", message: "Slower." } };
  engine = await startEngine([limited, limited], { max_failures: 1 });
  const id = await engine.session({}, { initial_events: [text("Hi.")] });
  await expect.poll(async () => (await engine.events(id)).at(-1)?.type, { timeout: 5000 }).toBe("session.status_idle");
  const errors = await engine.of(id, "session.error");
  expect(errors.map(({ error }) => [error.type, error.retry_status.type])).toEqual([
    ["model_rate_limited_error", "retrying"],
    ["model_rate_limited_error", "exhausted"],
  ]);
  const types = (await engine.events(id)).map(({ type }) => type);
  expect(types.filter((type) => type === "session.status_running")).toHaveLength(2);
});

test("the limit of tool rounds ends the turn as exhausted; the next message starts another", async () => {
  engine = await startEngine(
    ({ lastText }) =>
      lastText.includes("Enough") ? say("Stopped.") : call({ name: "bash", input: { command: "ls" } }),
    { max_rounds: 2 },
  );
  const id = await engine.session({}, { initial_events: [text("Loop.")] });
  await engine.settled(id);
  expect(await engine.of(id, "session.error")).toMatchObject([
    { error: { type: "tool_use_limit_reached_error", retry_status: { type: "exhausted" } } },
  ]);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "retries_exhausted" } });
  await engine.send(id, text("Enough."));
  await engine.settled(id);
  expect((await engine.events(id)).at(-1)).toMatchObject({ stop_reason: { type: "end_turn" } });
});
