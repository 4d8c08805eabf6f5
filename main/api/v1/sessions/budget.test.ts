import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Rig, refusalOf, startRig } from "../../testing/rig.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig();
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

const dollars = (amount: string) => ({ type: "limit", max_list_cost: { amount, currency: "USD" } }) as const;

async function create(model = "claude-sonnet-4-6", budget: object | null = dollars("100"), more: object = {}) {
  const { beta } = rig.client;
  const agent = await beta.agents.create({ name: "a", model, ...more });
  const environment = await beta.environments.create({ name: `e ${Math.random()}` });
  return beta.sessions.create({ agent: agent.id, environment_id: environment.id, budget: budget as never });
}

/** A million output tokens of a model at $15. */
async function spend(id: string, output_tokens = 1_000_000): Promise<void> {
  const span = `sevt_${Math.random().toString(36).slice(2)}`;
  await rig.emit(
    id,
    { type: "span.model_request_start", id: span },
    {
      type: "longhaul.model_request",
      model_request_start_id: span,
      kind: "turn",
      shortened: false,
      model: "claude-sonnet-4-6",
      request_sha256: "",
      request_bytes: 1,
      message_count: 1,
      tool_count: 0,
      price: { input: 3000, output: 15_000, cache_read: 300, cache_write: 3750 },
    },
    {
      type: "span.model_request_end",
      model_request_start_id: span,
      is_error: false,
      model_usage: { input_tokens: 0, output_tokens, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
    },
  );
}

const update = (id: string, budget: object | null) => rig.client.beta.sessions.update(id, { budget: budget as never });

describe("a budget", () => {
  test("is kept and shown, and what was spent is told in whole cents", async () => {
    const session = await create();
    expect(session.budget).toEqual(dollars("100"));
    expect(session.usage.list_cost).toEqual({ amount: "0", currency: "USD" });
    await spend(session.id, 30_000);
    const spent = await rig.client.beta.sessions.retrieve(session.id);
    expect(spent.usage.list_cost).toEqual({ amount: "45", currency: "USD" });
    const threads = await rig.client.beta.sessions.threads.list(session.id);
    expect(threads.data[0]?.usage ?? null).toBeNull();
  });

  test("needs models with a price: the agent's and those of its roster", async () => {
    const own = await refusalOf(create("llama-4"));
    expect([own.status, own.errorCode]).toEqual([400, "model_not_budgetable"]);
    const worker = await rig.client.beta.agents.create({ name: "w", model: "llama-4" });
    const roster = { multiagent: { type: "coordinator", agents: [worker.id] } };
    expect((await refusalOf(create("claude-sonnet-4-6", dollars("5"), roster))).message).toContain("llama-4");
    expect((await create("llama-4", null)).budget).toBeNull();
    const fast = { model: { id: "claude-sonnet-4-6", speed: "fast" } };
    expect((await refusalOf(create("", dollars("5"), fast))).message).toContain("fast mode");
  });

  test.each([
    ["-1", /whole number of cents/],
    ["1.5", /whole number of cents/],
    ["007", /whole number of cents/],
    ["", /whole number of cents/],
    ["0", /whole number of cents/],
    ["999999999999999999999", /whole number of cents/],
  ])("of %j cents is refused", async (amount, text) => {
    expect((await refusalOf(create("claude-sonnet-4-6", dollars(amount)))).message).toMatch(text);
  });

  test("is raised or removed, never added, lowered below what is spent, or set again", async () => {
    const { id } = await create();
    await spend(id);
    const low = await refusalOf(update(id, dollars("1500")));
    expect([low.status, low.errorCode]).toEqual([400, "budget_not_raised"]);
    const wakes = rig.orchestrator.wakes.length;
    expect((await update(id, dollars("2000"))).budget).toEqual(dollars("2000"));
    expect(rig.orchestrator.wakes.length).toBe(wakes + 1);
    expect((await update(id, null)).budget).toBeNull();
    expect((await refusalOf(update(id, dollars("9000")))).errorCode).toBe("budget_create_only");
    const without = await create("claude-sonnet-4-6", null);
    expect((await refusalOf(update(without.id, dollars("9000")))).errorCode).toBe("budget_create_only");
    const events = await rig.client.beta.sessions.events.list(id, { types: ["session.updated"] });
    expect(events.data).toMatchObject([{ budget: dollars("2000") }, { budget: null }]);
  });

  test("that is used up takes no new work, only what settles calls", async () => {
    const { id } = await create();
    await spend(id);
    const send = (event: object) => rig.client.beta.sessions.events.send(id, { events: [event as never] });
    const message = { type: "user.message", content: [{ type: "text", text: "more" }] };
    const refused = await refusalOf(send(message));
    expect([refused.status, refused.errorCode]).toEqual([400, "budget_reached"]);
    expect(refused.message).toContain("Raise or remove `budget`");
    await send({ type: "user.interrupt" });
    await update(id, dollars("5000"));
    await send(message);
  });

  test("a session that used a model without a price tells no cost", async () => {
    const { id } = await create("llama-4", null);
    await rig.emit(
      id,
      { type: "span.model_request_start", id: "sevt_s" },
      {
        type: "span.model_request_end",
        model_request_start_id: "sevt_s",
        is_error: false,
        model_usage: { input_tokens: 5, output_tokens: 5, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
      },
    );
    expect((await rig.client.beta.sessions.retrieve(id)).usage).not.toHaveProperty("list_cost");
  });
});
