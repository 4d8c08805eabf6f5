/** The sandbox on the desk: made step by step, lost, replaced, adopted, refused the network, and never claimed to live when it does not. */
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startBrowser } from "./browser.ts";
import { type FakeDesk, openFakeDesk, seriousViolations, startFakeDesk, storyId } from "./fake_desk.ts";

let browser: Browser;
let desk: FakeDesk;
beforeAll(async () => {
  browser = await startBrowser();
  desk = await startFakeDesk();
});
afterAll(async () => {
  await browser.close();
  desk.stop();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});

const row = (page: Page, text: string) => page.getByTestId("row").filter({ hasText: text });

/** Colours in a lane of the overview between two shares of its width, as a count of pixels that are not its ground. */
async function inkInLane(page: Page, lane: number): Promise<number> {
  return page.evaluate((index) => {
    const canvas = document.querySelectorAll<HTMLCanvasElement>("[data-testid=overview] canvas")[1];
    const context = canvas?.getContext("2d");
    if (canvas === undefined || context === null || context === undefined) return 0;
    const top = Math.round(devicePixelRatio * (5 + index * 15 + 1));
    const { data } = context.getImageData(0, top, canvas.width, Math.round(devicePixelRatio * 12));
    let ink = 0;
    for (let i = 3; i < data.length; i += 4) if ((data[i] ?? 0) > 60) ink += 1;
    return ink;
  }, lane);
}

test("a slow first provisioning shows each step as it ends and what goes on now", async () => {
  const { page, problems } = await openFakeDesk(browser, desk, "#/s/sesn_000000pull");
  const steps = page.getByTestId("sandbox-steps").first();
  await steps.getByText("Find the container engine").waitFor();
  const progress = page.getByTestId("sandbox-progress").first();
  await progress.getByText(/layer \d of 7/).waitFor();
  const before = await progress.innerText();
  await expect.poll(() => progress.innerText()).not.toBe(before);
  expect(await row(page, "Making the Docker container").innerText()).toContain("under way");
  expect(await page.getByTestId("sandbox-chip").innerText()).toContain("being made");
  expect(await inkInLane(page, 2)).toBeGreaterThan(100);
  expect(problems).toEqual([]);
});

test("a provisioning that nobody goes on with does not look as if it went on", async () => {
  const { page } = await openFakeDesk(browser, desk, "#/s/sesn_000000left");
  const line = row(page, "Making the Docker container");
  await line.waitFor();
  expect(await line.innerText()).toContain("not finished");
  const before = await line.innerText();
  await page.waitForTimeout(1300);
  expect(await line.innerText()).toBe(before);
  expect(await page.getByTestId("sandbox-progress").count()).toBe(0);
  expect(await page.getByTestId("sandbox-chip").innerText()).toContain("not finished");
  expect(await page.getByTestId("session").locator(".turning").count()).toBe(0);
});

test("a new session's sandbox goes from its steps to ready under the eyes of the person", async () => {
  const { page } = await openFakeDesk(browser, desk, "#/new");
  await page.getByTestId("task").fill("Work in a container.");
  await page.getByTestId("environment").selectOption("new");
  await page.getByTestId("sandbox-docker").click();
  await page.getByTestId("start").click();
  await page.getByTestId("sandbox-progress").first().waitFor();
  await row(page, "Docker container ready").waitFor();
  expect(await page.getByTestId("sandbox-progress").count()).toBe(0);
  await page.getByTestId("sandbox-chip").getByText("ready").waitFor();
});

test("adopted after a crash: the list says so in order, and the lane goes on through the time without an engine", async () => {
  const { page } = await openFakeDesk(browser, desk, `#/s/${storyId("adopted")}`);
  await row(page, "Took the Docker container on again").waitFor();
  const texts = await page.getByTestId("row").allInnerTexts();
  const at = (text: string): number => texts.findIndex((each) => each.includes(text));
  expect(at("Cut off: the engine died")).toBeLessThan(at("Took the Docker container on again"));
  expect(at("Took the Docker container on again")).toBeLessThan(at("bash was still running in the sandbox"));
  const label = await page.getByTestId("overview").locator("canvas[role=img]").getAttribute("aria-label");
  expect(label).toMatch(/sandbox adopted at/);
  await row(page, "Checkpoint of the sandbox's files").waitFor();
});

test("lost and replaced: the loss, its reason, how it came back, and what the agent was told", async () => {
  const { page } = await openFakeDesk(browser, desk, `#/s/${storyId("replaced")}`, { height: 2000 });
  await row(page, "The Docker container is gone: The container ran out of memory").waitFor();
  await row(page, "Started the Docker container again, with its files").waitFor();
  await row(page, "Rebuilt the Docker container from its last checkpoint").waitFor();
  expect(await row(page, "Rebuilt the Docker container").innerText()).toContain("something was lost");
  await page.getByTestId("sandbox-notice").getByText("built from the checkpoint of 02:10").waitFor();
  await row(page, "No checkpoint could be taken").waitFor();
  const label = await page.getByTestId("overview").locator("canvas[role=img]").getAttribute("aria-label");
  expect(label).toMatch(/sandbox lost at .*sandbox restarted at .*sandbox lost at .*sandbox restored at/);

  await row(page, "Rebuilt the Docker container").click();
  await page.getByTestId("inspector").getByText("built again from the last checkpoint").waitFor();
});

test("one that cannot be had names the step and the reason, and is not called lost", async () => {
  const { page } = await openFakeDesk(browser, desk, `#/s/${storyId("unavailable")}`);
  await page.getByTestId("sandbox-steps").getByText("the registry does not know it").waitFor();
  expect(await page.getByText("is gone").count()).toBe(0);
  expect(await page.getByTestId("sandbox-chip").innerText()).toContain("could not be made");
});

test("the head's details say what the sandbox is, its limits and its history, by keyboard too", async () => {
  const { page } = await openFakeDesk(browser, desk, `#/s/${storyId("replaced")}`);
  const chip = page.getByTestId("sandbox-chip");
  await chip.focus();
  await page.keyboard.press("Enter");
  const details = page.getByTestId("sandbox-details");
  await details.waitFor();
  const text = await details.innerText();
  for (const words of ["6g", "4", "api.github.com, package registries", "apt: sqlite3", "restored"])
    expect(text).toContain(words);
  await page.keyboard.press("Escape");
  await details.waitFor({ state: "hidden" });
  expect(await chip.evaluate((element) => element === document.activeElement)).toBe(true);
});

test("connections that were let through are quiet; refused ones are visible and say what can be done", async () => {
  const { page } = await openFakeDesk(browser, desk, `#/s/${storyId("refused")}`);
  await row(page, "Connected to registry.npmjs.org").waitFor();
  expect(await row(page, "Connected to registry.npmjs.org").count()).toBe(1);
  const refused = row(page, "Refused: The host data.geo.example.org is not among");
  await refused.click();
  const inspector = page.getByTestId("inspector");
  await inspector.getByText("Nothing left the sandbox").waitFor();
  expect(await inspector.innerText()).toContain("Docker, registries and GitHub");
  await inspector.getByTestId("allow-host").click();
  await page.getByTestId("environment-form").waitFor();
  expect(await page.getByTestId("hosts").inputValue()).toBe("api.github.com\ndata.geo.example.org");
  expect(await page.getByTestId("sandbox-docker").isChecked()).toBe(true);
  expect(await page.getByTestId("setting-memory").inputValue()).toBe("6g");
});

test.each(["light", "dark"] as const)("everybody can read it (%s)", async (colorScheme) => {
  for (const story of ["replaced", "refused"]) {
    const { page, problems } = await openFakeDesk(browser, desk, `#/s/${storyId(story)}`, { colorScheme });
    await page.getByTestId("row").first().waitFor();
    await page.getByTestId("sandbox-chip").click();
    await page.getByTestId("sandbox-details").waitFor();
    for (const part of ["main", "[data-testid=sandbox-details]"])
      expect(await seriousViolations(page, part)).toEqual([]);
    expect(problems).toEqual([]);
    await page.context().close();
  }
});

test("nothing moves by itself with reduced motion", async () => {
  const { page } = await openFakeDesk(browser, desk, "#/s/sesn_000000pull", { reducedMotion: "reduce" });
  await page.getByTestId("sandbox-progress").first().waitFor();
  const moving = await page.evaluate(
    () => document.getAnimations().filter((each) => each.playState === "running").length,
  );
  expect(moving).toBe(0);
});
