/** First run: sign in with the printed link, see what the machine has, play the offline demo. */
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cleanEnv, exitOf, longhaul, type Product, removeDir, serve, tempDir, until } from "../product/serve.ts";
import { openDesk, startBrowser } from "./browser.ts";

let browser: Browser;
let product: Product;
beforeAll(async () => {
  browser = await startBrowser();
  product = await serve();
});
afterAll(async () => {
  await browser.close();
  await product.stop();
  removeDir(product.data_dir);
});

/** Violations that would keep somebody out. */
async function seriousViolations(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  return violations
    .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
    .map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ")).join(", ")}`);
}

test("the printed link signs in once, and the code in it is gone from the address", async () => {
  const data_dir = tempDir();
  const child = longhaul(["start", "--no-browser", "--data-dir", data_dir, "--port", "0"], cleanEnv());
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk) => (printed += String(chunk)));
  const link = await until("the link", async () => /http:\/\/127\.0\.0\.1:\d+\/#code=[\w-]+/.exec(printed)?.[0]);
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(link);
  await page.getByTestId("checks").waitFor();
  expect(page.url()).not.toContain("code=");
  await page.reload();
  await page.getByTestId("checks").waitFor();

  const other = await (await browser.newContext()).newPage();
  await other.goto(link);
  await other.getByTestId("signed-out").waitFor();
  const ended = exitOf(child);
  child.kill("SIGTERM");
  expect(await ended).toBe(0);
  removeDir(data_dir);
});

test.each(["light", "dark"] as const)(
  "the first page says what is there and what works without it (%s)",
  async (colorScheme) => {
    const page = await openDesk(browser, product, "", { colorScheme });
    await page.getByTestId("checks").waitFor();
    const checks = await page.getByTestId("checks").innerText();
    for (const words of ["Model endpoint", "Sandbox", "Keychain", "ANTHROPIC_API_KEY"]) expect(checks).toContain(words);
    expect(await seriousViolations(page)).toEqual([]);
    await page.context().close();
  },
);

test("the offline demo runs live to its end and is labelled as a demo", async () => {
  const page = await openDesk(browser, product);
  await page.getByTestId("try-demo").click();
  await page.getByTestId("timeline").waitFor();
  await page.getByText("works: all 8 checks pass").last().waitFor({ timeout: 60_000 });
  await page.getByTestId("demo-badge").first().waitFor();
  const rows = await page.getByTestId("row").allInnerTexts();
  expect(rows.some((row) => row.includes("bash"))).toBe(true);
  expect(await seriousViolations(page)).toEqual([]);
  await page.context().close();
});

test("a new session can be written, configured and started with the keyboard alone", async () => {
  const page = await openDesk(browser, product);
  await page.getByTestId("checks").waitFor();
  await page.keyboard.press("n");
  await page.getByTestId("new-session-screen").waitFor();
  await page.keyboard.type("Build something small.");
  await page.keyboard.press("Control+Enter");
  await page.getByTestId("timeline").waitFor();
  await page.getByTestId("session-title").getByText("Build something small.").waitFor();
  await page.context().close();
});
