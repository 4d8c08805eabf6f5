/** The desk on a real container: its steps, its death and replacement, the changes brought back, an output downloaded. */
import { readFileSync } from "node:fs";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startModelServer } from "../model_server/server.ts";
import { git, realRepository } from "../product/repository.ts";
import { removeDir } from "../product/serve.ts";
import { openDesk, startBrowser } from "../ui/browser.ts";
import { Plans } from "./plans.ts";
import { containerOf, docker, removeInstall, serveOnDocker } from "./product.ts";

const plans = new Plans();
let browser: Browser;

beforeAll(async () => {
  browser = await startBrowser();
  plans.model = await startModelServer({ script: plans.script });
  plans.product = await serveOnDocker({ model: plans.model });
});
afterAll(async () => {
  await browser.close();
  await plans.product.stop();
  await removeInstall(plans.product.data_dir);
  await plans.model.close();
  removeDir(plans.product.data_dir);
});

test("a person sees what the sandbox did, brings the work back and downloads what was left", async () => {
  const repo = realRepository();
  const id = await plans.start(
    [
      "cd fast-uri && sed -i 's/urn:uuid/urn:oid/' lib/schemes.js && git commit -qam 'Change the scheme' && echo done",
      async () => {
        await docker("kill", await containerOf(id));
        return "git log -1 --format=%s && echo all well > /mnt/session/outputs/report.txt";
      },
    ],
    {},
    true,
    [{ type: "local_repository", path: repo }],
  );
  await plans.atRest(id);
  const page = await openDesk(browser, plans.product, `#/s/${id}`, { width: 1440, height: 900 });
  await page.getByText("I am done.").last().waitFor();
  const shots = process.env["LONGHAUL_SHOTS"];
  if (shots !== undefined) await page.screenshot({ path: `${shots}/docker-timeline.png` });
  await page.getByTestId("sandbox-chip").click();
  await page
    .getByTestId("sandbox-details")
    .getByText(/container/i)
    .first()
    .waitFor();
  await page.keyboard.press("Escape");

  await page.getByTestId("tab-files").click();
  await page.getByTestId("changed-file").getByText("schemes.js").first().waitFor();
  await page.getByTestId("bring-back-button").first().click();
  await page.getByTestId("brought-back").first().waitFor();
  const branch = git(repo, "branch", "--list", "longhaul/*", "--format=%(refname:short)").trim();
  expect(branch).toMatch(/^longhaul\//);
  expect(await page.getByTestId("brought-back").first().textContent()).toContain(branch);
  expect(git(repo, "show", `${branch}:lib/schemes.js`)).toContain("urn:oid");

  const [download] = await Promise.all([page.waitForEvent("download"), page.getByTestId("download").first().click()]);
  expect(download.suggestedFilename()).toBe("report.txt");
  expect(readFileSync(await download.path(), "utf8")).toBe("all well\n");
  if (shots !== undefined) await page.screenshot({ path: `${shots}/docker-desk.png` });
});
