/** The engine dies under an open window: the window says so, keeps what it shows, and nothing is missed or repeated. */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { removeDir, serve, until } from "../product/serve.ts";
import { createSession, eventsOf, problemsIn, summaryOf, untilRests, workspaceFiles } from "../product/sessions.ts";
import { openDesk, startBrowser } from "./browser.ts";

let browser: Browser;
let model: ModelServer;
beforeAll(async () => {
  browser = await startBrowser();
  model = await startModelServer({
    script: (request) =>
      request.results.size === 0
        ? {
            content: [
              {
                type: "tool_use",
                name: "bash",
                input: { command: "echo begun >> log.txt; sleep 3; echo done >> log.txt; cat log.txt" },
              },
            ],
          }
        : { content: [{ type: "text", text: `The log: ${[...request.results.values()][0]?.text}` }] },
  });
});
afterAll(async () => {
  await browser.close();
  await model.close();
});
afterEach(async () => {
  for (const context of browser.contexts()) await context.close();
});

async function commandRuns(product: Parameters<typeof summaryOf>[0], id: string): Promise<void> {
  await until("the command to run", async () => {
    const call = (await summaryOf(product, id)).fold.calls[0];
    return call !== undefined && call.attempts > 0 && (workspace(product.data_dir, id)["log.txt"] ?? "") !== "";
  });
}

function workspace(dataDir: string, id: string): Record<string, string> {
  try {
    return workspaceFiles(dataDir, id);
  } catch {
    return {};
  }
}

test("killed in mid-command: the window says so, reconnects without a reload, and the command ran once", async () => {
  const product = await serve({ model });
  const id = await createSession(product, { text: "Write the log slowly." });
  const page = await openDesk(browser, product, `#/s/${id}`);
  await page.getByTestId("row").getByText("echo begun").first().waitFor();
  await page.evaluate(() => Object.assign(window, { sameDocument: true }));
  await commandRuns(product, id);

  process.kill(product.pid, "SIGKILL");
  await page.getByText("Engine is not answering").waitFor({ timeout: 1_500 });
  await page.getByTestId("row").getByText("echo begun").first().waitFor();
  await page.getByText("The log: begun").last().waitFor({ timeout: 30_000 });
  expect(await page.evaluate(() => "sameDocument" in window)).toBe(true);
  expect(await page.getByText("Engine is not answering").count()).toBe(0);

  await untilRests(product, id);
  const events = await eventsOf(product, id);
  expect(problemsIn(events)).toEqual([]);
  expect(workspaceFiles(product.data_dir, id)["log.txt"]).toBe("begun\ndone\n");
  expect(await page.getByText("The log: begun").count()).toBeGreaterThan(0);
  await product.stop();
  removeDir(product.data_dir);
});

test("without auto-resume the resume sheet tells what was cut off and what is known, and Resume finishes it", async () => {
  const first = await serve({ model });
  const id = await createSession(first, { text: "Write the log slowly." });
  await commandRuns(first, id);
  first.child.kill("SIGKILL");
  process.kill(first.pid, "SIGKILL");
  await first.ended;

  const second = await serve({ model, data_dir: first.data_dir, args: ["--no-auto-resume"] });
  expect((await summaryOf(second, id)).activity).toBeNull();
  const page = await openDesk(browser, second, `#/s/${id}`);
  await page.getByTestId("open-resume").first().click();
  const card = page.getByTestId("resume-card");
  await card.getByText("bash").first().waitFor();
  await card.getByTestId("resume-one").click();
  await page.getByText("The log: begun").last().waitFor({ timeout: 30_000 });
  expect(workspaceFiles(second.data_dir, id)["log.txt"]).toBe("begun\ndone\n");
  expect(problemsIn(await eventsOf(second, id))).toEqual([]);
  await second.stop();
  removeDir(second.data_dir);
});
