/** A session on the desk: live timeline, approval, interrupt, the exact request, and a repository's changes. */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Script } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { EXACT_CHANGE, editScript, expectExactChange, realRepository } from "../product/repository.ts";
import { type Product, removeDir, serve } from "../product/serve.ts";
import { createSession, eventsOf, summaryOf, untilRests } from "../product/sessions.ts";
import { openDesk, startBrowser } from "./browser.ts";

const askScript: Script = (request) =>
  request.results.size === 0
    ? { content: [{ type: "tool_use", name: "bash", input: { command: "echo approved > yes.txt; cat yes.txt" } }] }
    : { content: [{ type: "text", text: `Result: ${[...request.results.values()][0]?.text}` }] };

let browser: Browser;
let model: ModelServer;
let product: Product;
beforeAll(async () => {
  browser = await startBrowser();
  model = await startModelServer({ script: askScript });
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

test("text appears while it streams, and the stored message takes its place", async () => {
  const words = Array.from({ length: 60 }, (_, n) => `word${n}`).join(" ");
  model.setScript([{ content: [{ type: "text", text: words }], between_events_ms: 250 }]);
  const id = await createSession(product, { text: "Talk slowly." });
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("preview").first().waitFor();
  expect((await summaryOf(product, id)).activity).toBe("running");
  await page.getByText("word59").last().waitFor({ timeout: 30_000 });
  await untilRests(product, id);
  await expect.poll(() => page.getByTestId("preview").count()).toBe(0);
  await page.reload();
  await page.getByText("word59").last().waitFor();
});

test("an approval survives a reload, shows the exact command, and runs on A", async () => {
  model.setScript(askScript);
  const id = await createSession(product, { text: "Ask me.", policy: "always_ask" });
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("approval").waitFor();
  await page.reload();
  await page.getByTestId("approval").getByText("echo approved > yes.txt").waitFor();
  await page.getByTestId("group-needs_you").getByTestId("session-item").first().waitFor();
  await page.waitForTimeout(700);
  await page.keyboard.press("a");
  await page.getByText("Result: approved").last().waitFor();
  expect(await page.getByTestId("approval").count()).toBe(0);
});

test("a denial carries its reason to the model", async () => {
  model.setScript(askScript);
  const id = await createSession(product, { text: "Ask me.", policy: "always_ask" });
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("deny").click();
  await page.getByTestId("deny-reason").fill("not in this folder");
  await page.getByTestId("deny-send").click();
  await page.getByText("not in this folder").last().waitFor();
  await untilRests(product, id);
  expect(model.requests.at(-1)?.raw.toString()).toContain("not in this folder");
});

test("interrupt stops a running command, and a message starts the next turn", async () => {
  model.setScript((request) =>
    request.lastText.includes("instead")
      ? { content: [{ type: "text", text: "Something else, then." }] }
      : { content: [{ type: "tool_use", name: "bash", input: { command: "sleep 60" } }] },
  );
  const id = await createSession(product, { text: "Wait long." });
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("row").getByText("sleep 60").first().waitFor();
  await page.getByTestId("interrupt").click();
  const rested = await untilRests(product, id);
  expect(rested.fold.stop_reason).toEqual({ type: "end_turn" });
  await page.getByTestId("composer").fill("Do this instead.");
  await page.getByTestId("send").click();
  await page.getByText("Something else, then.").last().waitFor();
});

test("the inspector shows the exact request of a model span, and that its bytes are those that were sent", async () => {
  model.setScript([{ content: [{ type: "text", text: "Look at my request." }] }]);
  const id = await createSession(product, { text: "A question for the inspector." });
  await untilRests(product, id);
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByText("Look at my request.").first().click();
  await page.getByTestId("tab-context").click();
  await page.getByTestId("context").getByText("A question for the inspector.").first().waitFor();
});

test("by hand: a folder of mine, a real edit, and the patch from the Files tab applies to the original", async () => {
  const repo = realRepository();
  model.setScript(editScript);
  const page = await openDesk(browser, product);
  await page.getByTestId("new-session").click();
  await page.getByTestId("task").fill("Support the scheme urn:oid.");
  await page.getByTestId("folder").fill("/no/such/folder");
  await page.getByTestId("start").click();
  await page.getByTestId("field-error").first().waitFor();
  expect(await page.getByTestId("task").inputValue()).toBe("Support the scheme urn:oid.");
  await page.getByTestId("folder").fill(repo);
  await page.getByTestId("model").fill("claude-sonnet-5-5");
  await page.getByTestId("start").click();
  await page.getByText("Added urn:oid.").last().waitFor({ timeout: 60_000 });
  const id = /#\/s\/(sesn_\w+)/.exec(page.url())?.[1] ?? "";
  await page.getByTestId("tab-files").click();
  await page.getByTestId("changed-file").getByText("schemes.js").first().waitFor();
  const { data } = await product.local<{ data: { patch: string }[] }>(`/sessions/${id}/changes`);
  expect(expectExactChange(repo, data[0]?.patch ?? "")).toEqual(EXACT_CHANGE);
  expect((await eventsOf(product, id)).length).toBeGreaterThan(10);
});
