/** What the agent leaves: changes to read and to bring back, and outputs to download. */
import { readFileSync } from "node:fs";
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

async function openFiles(story: string, colorScheme: "light" | "dark" = "light"): Promise<Page> {
  const { page } = await openFakeDesk(browser, desk, `#/s/${storyId(story)}`, { colorScheme });
  await page.getByTestId("tab-files").click();
  await page.getByTestId("changed-file").first().waitFor();
  return page;
}

test("a file's diff opens with its lines, a binary file says that it is one", async () => {
  const page = await openFiles("delivered");
  await page.getByTestId("changed-file").filter({ hasText: "ledger.ts" }).click();
  await page.getByTestId("diff").getByText("if (batch.length === 0) return;").waitFor();
  await page.getByTestId("changed-file").filter({ hasText: "logo.png" }).click();
  await page.getByText("A binary file: it is not shown").waitFor();
  await page.getByTestId("changes-note").getByText("leaves out large files").waitFor();
  await page.getByTestId("changed-file").filter({ hasText: "snapshot.json" }).click();
  await page.getByText("Its lines are not part of this patch.").waitFor();
});

test("twenty thousand changed lines and a minified one open at once, and only what is on screen is drawn", async () => {
  const page = await openFiles("delivered");
  await page.getByTestId("changed-file").filter({ hasText: "operations.ts" }).click();
  await page.getByTestId("diff").getByText("operation399 ").waitFor();
  await page.getByTestId("diff-more").click();
  await page.getByTestId("diff").getByText("operation2399 ").waitFor();
  const longest = await page.evaluate(async () => {
    let slowest = 0;
    let last = performance.now();
    let on = true;
    const tick = (): void => {
      const now = performance.now();
      slowest = Math.max(slowest, now - last);
      last = now;
      if (on) requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
    document.querySelector<HTMLElement>("[data-testid=open-diff]")?.click();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    on = false;
    return slowest;
  });
  expect(longest).toBeLessThan(1000);
  const lines = page.getByTestId("diff-lines");
  await page.getByTestId("sheet-file").filter({ hasText: "client.min.js" }).click();
  await lines.getByText(/more characters/).waitFor();
  await page.getByTestId("sheet-file").filter({ hasText: "old_client.ts" }).click();
  await lines.getByText("export const client = null;").waitFor();
  expect(await lines.locator("[data-index]").count()).toBeLessThan(200);
  expect(await seriousViolations(page, "[data-testid=diff-sheet]")).toEqual([]);
  await page.keyboard.press("Escape");
  await lines.waitFor({ state: "hidden" });
});

test("bring back: the branch, the commands to copy, and the event in the timeline; it says when more has come since", async () => {
  const page = await openFiles("adopted");
  await page.getByTestId("bring-back-button").click();
  const brought = page.getByTestId("brought-back");
  await brought.waitFor();
  const id = storyId("adopted");
  expect(await brought.innerText()).toMatch(/3\scommits/);
  await brought.getByRole("button", { name: "Copy git switch" }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(`git switch longhaul/${id}`);
  await page
    .getByTestId("row")
    .filter({ hasText: `Changes brought back to search as the branch longhaul/${id}` })
    .waitFor();
  expect(await page.getByTestId("newer-changes").count()).toBe(0);
  await page.getByText("The branch has everything.").waitFor();
  await page.reload();
  await page.getByTestId("brought-back").getByText(`git merge longhaul/${id}`).waitFor();

  await page.goto(`${desk.url}/#/s/${storyId("delivered")}`);
  expect(await page.getByTestId("newer-changes").innerText()).toMatch(/1\scall since may have changed more/);
  await page.getByTestId("bring-back-button").click();
  await page
    .getByTestId("brought-back")
    .getByText(`git switch longhaul/${storyId("delivered")}-2`)
    .waitFor();
});

test("changes that cannot be brought back: why, what is safe, what to do, and the button stays", async () => {
  const page = await openFiles("replaced");
  await page.getByTestId("bring-back-button").click();
  const alert = page.getByTestId("bring-back").getByRole("alert");
  await alert.waitFor();
  const text = await alert.innerText();
  for (const words of ["is not there any more", "Nothing was changed", "copy the patch"]) expect(text).toContain(words);
  expect(await page.getByTestId("bring-back-button").isEnabled()).toBe(true);
  expect(await page.getByTestId("brought-back").count()).toBe(0);
});

test("an output is saved under its name, byte for byte, with no token in any address", async () => {
  const page = await openFiles("delivered");
  const addresses: string[] = [];
  page.on("request", (request) => addresses.push(request.url()));
  const output = page.getByTestId("output").filter({ hasText: "report.md" });
  const [saved] = await Promise.all([page.waitForEvent("download"), output.getByTestId("download").click()]);
  expect(saved.suggestedFilename()).toBe("report.md");
  expect(readFileSync(await saved.path(), "utf8")).toBe("# Report\n\nEverything passes.\n");
  expect(addresses.some((address) => address.endsWith("/outputs/report.md"))).toBe(true);
  expect(addresses.filter((address) => address.includes("fake-token"))).toEqual([]);
});

test("a large output is saved whole; a missing one and a disguised one are named truly", async () => {
  const page = await openFiles("delivered");
  const archive = page.getByTestId("output").filter({ hasText: "client-2.4.0.tgz" });
  const [saved] = await Promise.all([page.waitForEvent("download"), archive.getByTestId("download").click()]);
  expect(readFileSync(await saved.path()).byteLength).toBe(48_300_000);
  const gone = page.getByTestId("output").filter({ hasText: "gone.txt" });
  await gone.getByTestId("download").click();
  await page.getByTestId("outputs").getByRole("alert").getByText("gone.txt").waitFor();
  await page.getByTestId("output").filter({ hasText: "invoice[U+202E]fdp.exe" }).waitFor();
});

test("what limits a comparison is told also when it found nothing changed", async () => {
  const { page } = await openFakeDesk(browser, desk, `#/s/${storyId("adopted")}`);
  const note = "The sandbox is gone: this is what it held when it was last looked at.";
  const data = [{ mount_path: "/workspace/app", path: "/home/ada/app", patch: "", files: [], note }];
  await page.route("**/changes", (route) => route.fulfill({ json: { data } }));
  await page.getByTestId("tab-files").click();
  await page.getByText("Nothing is changed so far.").waitFor();
  expect(await page.getByTestId("changes-note").innerText()).toBe(`app: ${note}`);
});

test("without outputs the list says how files get there", async () => {
  const page = await openFiles("adopted");
  await page.getByTestId("outputs").getByText("/mnt/session/outputs").waitFor();
});

test.each(["light", "dark"] as const)("everybody can read it (%s)", async (colorScheme) => {
  const page = await openFiles("delivered", colorScheme);
  await page.getByTestId("output").first().waitFor();
  await page.getByTestId("changed-file").first().click();
  expect(await seriousViolations(page, "[data-testid=inspector]")).toEqual([]);
});
