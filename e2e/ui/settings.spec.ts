/** The model endpoint entered by a person in the interface, against the built product: used at once, kept nowhere in sight. */
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { type Product, removeDir, serve, until } from "../product/serve.ts";
import { openDesk, startBrowser } from "./browser.ts";

const KEY = "sk-canary-settings-5521";

let browser: Browser;
let product: Product;
let model: ModelServer;
beforeAll(async () => {
  browser = await startBrowser();
  model = await startModelServer({ script: () => say("A real model speaks."), apiKey: KEY });
  // Sealed with a passphrase: this machine may have no keychain, and its owner's must not be touched.
  product = await serve({ env: { LONGHAUL_VAULT_PASSPHRASE: "correct horse battery" } });
});
afterAll(async () => {
  await browser.close();
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});

/** Everything that the page keeps or shows. */
async function traces(page: Page): Promise<string> {
  const kept = await page.evaluate(async () => {
    const databases = await indexedDB.databases();
    return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href, databases]);
  });
  return kept + (await page.content());
}

test("from the first page to a session that a model answers, without a restart", async () => {
  const page = await openDesk(browser, product);
  await page.getByTestId("check-model-settings").click();
  await page.getByTestId("settings-screen").waitFor();
  await until(
    "the demo in use",
    async () => (await page.getByTestId("model-in-use").getAttribute("data-source")) === "demo",
  );
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.filter(({ impact }) => impact === "serious" || impact === "critical")).toEqual([]);

  await page.getByTestId("model-base-url").fill(model.url);
  await page.getByTestId("save-model").click();
  await page.getByTestId("field-error").waitFor();
  await page.getByTestId("model-key").fill("sk-wrong-canary");
  await page.getByTestId("save-model").click();
  await page.getByTestId("test-endpoint").click();
  await page.locator("[data-testid=test-result][data-outcome=refused]").waitFor();
  expect(await traces(page)).not.toContain("sk-wrong-canary");

  await page.getByTestId("model-key").fill(KEY);
  await page.getByTestId("save-model").click();
  await page.getByText("Saved, and in use").waitFor();
  expect(await page.getByTestId("model-key").inputValue()).toBe("");
  await page.getByTestId("test-endpoint").click();
  await page.locator("[data-testid=test-result][data-outcome=accepted]").waitFor();
  expect(await traces(page)).not.toContain(KEY);
  expect(await traces(page)).not.toContain(KEY.slice(-4));

  await page.reload();
  await page.getByTestId("settings-screen").waitFor();
  expect(await page.getByTestId("model-key").inputValue()).toBe("");
  await page.keyboard.press("n");
  await page.getByTestId("new-session-screen").waitFor();
  await page.keyboard.type("Say something.");
  await page.getByTestId("start").click();
  await page.getByText("A real model speaks.").first().waitFor({ timeout: 30_000 });
  expect(await page.getByTestId("demo-badge").count()).toBe(0);
  await page.context().close();
});

test("the palette leads there, and what is removed is gone at once", async () => {
  const page = await openDesk(browser, product);
  await page.getByTestId("checks").waitFor();
  await page.keyboard.press("ControlOrMeta+k");
  await page.keyboard.type("model endpoint");
  await page.keyboard.press("Enter");
  await page.getByTestId("clear-model").click();
  await page.getByText("Removed from the vault.").waitFor();
  expect(await page.getByTestId("model-in-use").getAttribute("data-source")).toBe("demo");
  await page.keyboard.press("Escape");
  await page.context().close();
});
