/** What a session waits for, and what it used: a budget to be raised, a worker, requests of web tools. */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { call, type Script, say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, serve } from "../product/serve.ts";
import { summaryOf, untilRests } from "../product/sessions.ts";
import { hostedEnvironment, hostedSession } from "../worker/hosted.ts";
import { openDesk, startBrowser } from "./browser.ts";
import { seriousViolations } from "./fake_desk.ts";

const command = (text: string) => call({ name: "bash", input: { command: text } });

const script: Script = (request) => {
  const first = JSON.stringify(request.body.messages[0]);
  if (request.body.tools?.some(({ type }) => String(type).startsWith("web_search_"))) {
    const results = [{ url: "https://example.com/notes", title: "Release notes" }];
    return { content: [{ type: "web_search", query: "news", results }], output_tokens: 420 };
  }
  if (first.includes("spend"))
    return request.turn === 0 ? { ...command("true"), output_tokens: 900 } : say("All done.");
  if (first.includes("search") && request.turn === 0) return call({ name: "web_search", input: { query: "the news" } });
  return first.includes("test") && request.turn === 0 ? command("make test") : say("Found.");
};

let browser: Browser;
let model: ModelServer;
let product: Product;
beforeAll(async () => {
  browser = await startBrowser();
  model = await startModelServer({ script });
  product = await serve({ model });
});
afterAll(async () => {
  await browser.close();
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});

/** A session of a model with a list price; `cents`: what it may cost. */
async function priced(text: string, cents?: string): Promise<string> {
  const { beta } = product.client;
  const name = `priced-${Math.random().toString(36).slice(2)}`;
  const agent = await beta.agents.create({
    name,
    model: "claude-sonnet-4-6",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  const { id } = await beta.sessions.create({
    agent: agent.id,
    environment_id: (await beta.environments.create({ name })).id,
    initial_events: [{ type: "user.message", content: [{ type: "text", text }] }],
    ...(cents === undefined
      ? {}
      : { budget: { type: "limit", max_list_cost: { amount: cents, currency: "USD" } } as const }),
  });
  await untilRests(product, id);
  return id;
}

test("a reached budget offers no Resume that would do nothing; a higher limit goes on with the work", async () => {
  const id = await priced("Please spend.", "1");
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("budget-note").getByText("It has cost $0.02 of $0.01.").waitFor();
  expect(await page.getByTestId("resume").count()).toBe(0);
  await page.getByTestId("group-needs_you").getByText("budget reached").waitFor();
  await page.getByTestId("raise-budget").click();
  await page.getByTestId("budget-limit").fill("0.01");
  await page.getByTestId("budget-set").click();
  await page.getByText("Write more than that.").waitFor();
  expect(await seriousViolations(page, "[data-testid=budget-dialog]")).toEqual([]);
  await page.getByTestId("budget-limit").fill("5");
  await page.getByTestId("budget-set").click();
  await page.getByText("All done.").last().waitFor();
  await page.getByText("The budget is now $5.00").waitFor();
  expect(await page.getByTestId("budget-note").count()).toBe(0);
  expect((await summaryOf(product, id)).fold.budget?.max_list_cost.amount).toBe("500");
});

test("a budget can be taken away for good", async () => {
  const id = await priced("Please spend it all.", "1");
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("raise-budget").click();
  await page.getByTestId("budget-remove").click();
  await page.getByText("All done.").last().waitFor();
  expect((await summaryOf(product, id)).fold.budget).toBeNull();
});

test("a session of a self-hosted environment waits for its worker, not for the person", async () => {
  const id = await hostedSession(product, await hostedEnvironment(product), "Please test.");
  await untilRests(product, id);
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("group-waiting").getByText("waits for a worker").waitFor();
  await page.getByTestId("turn").getByText("waits for a worker").waitFor();
  expect(await page.getByText("waits for you").count()).toBe(0);
  await page.getByText("none here: calls run on the machine of the environment's worker").waitFor();
});

test("what a web search used is on its row and in the totals of its turn", async () => {
  const id = await priced("Please search.");
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("row").filter({ hasText: "the news" }).click();
  await page.getByText(/^1.search; .* tokens in, 420.* out, beside the conversation$/).waitFor();
  // With a row selected: its colours stand on another ground.
  expect(await seriousViolations(page, "[data-testid=timeline]")).toEqual([]);
  const { usage } = (await summaryOf(product, id)).fold;
  await page.getByTestId("turn").click();
  await page.getByText(`${usage.output_tokens} tokens`, { exact: true }).waitFor();
});
