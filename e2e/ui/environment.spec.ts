/** Choosing where the agent works: short by default, everything else on demand, mistakes named at their field. */
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { startBrowser } from "./browser.ts";
import { type FakeDesk, openFakeDesk, seriousViolations, startFakeDesk } from "./fake_desk.ts";

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

async function openNew(colorScheme: "light" | "dark" = "light"): Promise<Page> {
  const { page } = await openFakeDesk(browser, desk, "#/new", { colorScheme });
  await page.getByTestId("task").fill("Build something small.");
  return page;
}

interface Sent {
  name: string;
  config: unknown;
  metadata: Record<string, string>;
}

/** Bodies of the environments that the page asks for. */
function sentBy(page: Page): Sent[] {
  const sent: Sent[] = [];
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().includes("/v1/environments")) sent.push(request.postDataJSON());
  });
  return sent;
}

test("a first run is one field and one key: the default lets package registries through and nothing else", async () => {
  const page = await openNew();
  const sent = sentBy(page);
  expect(await page.getByTestId("environment-form").count()).toBe(0);
  await page.keyboard.press("Control+Enter");
  await page.getByTestId("timeline").waitFor();
  for (const { config, metadata } of sent) {
    expect(config).toMatchObject({ networking: { type: "limited", allowed_hosts: [], allow_package_managers: true } });
    expect(metadata).toEqual({ longhaul_default: "environment" });
  }
});

test("sandbox, network, packages and limits arrive as they were chosen, and the environment can be chosen again", async () => {
  const page = await openNew();
  const sent = sentBy(page);
  await page.getByTestId("environment").selectOption("new");
  await page.getByTestId("sandbox-docker").click();
  expect(await page.getByTestId("network-limited").isChecked()).toBe(true);
  await page.getByTestId("hosts").fill("https://api.example.com/v1\n*.example.org");
  await page.getByText("Packages to install").click();
  await page.getByTestId("packages-apt").fill("jq sqlite3");
  await page.getByText("Advanced: image and limits").click();
  await page.getByTestId("setting-image").fill("debian:12");
  await page.getByTestId("setting-memory").fill("6g");
  await page.getByTestId("start").click();
  await page.getByTestId("timeline").waitFor();
  expect(sent).toHaveLength(1);
  expect(sent[0]).toMatchObject({
    name: "Docker, registries and 2 hosts, debian:12",
    config: {
      type: "cloud",
      networking: {
        type: "limited",
        allowed_hosts: ["api.example.com", "*.example.org"],
        allow_package_managers: true,
      },
      packages: { apt: ["jq", "sqlite3"] },
    },
    metadata: { "longhaul.sandbox": "docker", "longhaul.image": "debian:12", "longhaul.memory": "6g" },
  });
  await page.getByTestId("sandbox-chip").click();
  await page.getByTestId("sandbox-details").getByText("debian:12", { exact: true }).waitFor();

  await page.goto(`${desk.url}/#/new`);
  const choice = page.getByTestId("environment");
  await expect.poll(() => choice.locator("option:checked").innerText()).toContain("Docker, registries and 2 hosts");
  await page.getByText("reaches api.example.com, *.example.org, package registries").waitFor();
});

test("an open network is possible and says what that means; the embedded sandbox has none to choose", async () => {
  const page = await openNew();
  await page.getByTestId("environment").selectOption("new");
  await page.getByTestId("network-unrestricted").click();
  await page.getByTestId("network-warning").getByText("any public host").waitFor();
  expect(await page.getByTestId("hosts").count()).toBe(0);
  await page.getByTestId("sandbox-embedded").click();
  expect(await page.getByTestId("network-unrestricted").count()).toBe(0);
  await page.getByText("has no network, so there is nothing to allow").waitFor();
});

test("mistakes are named at their field before anything is made, and nothing typed is lost by a reload", async () => {
  const page = await openNew();
  const sent = sentBy(page);
  await page.getByTestId("environment").selectOption("new");
  await page.getByTestId("hosts").fill("not_a_host");
  await page.getByText("Advanced: image and limits").click();
  await page.getByTestId("setting-memory").fill("4 gigs");
  await page.getByTestId("start").click();
  const errors = await page.getByTestId("field-error").allInnerTexts();
  expect(errors.join("\n")).toContain("“not_a_host” is no host name");
  expect(errors.join("\n")).toContain('"512m"');
  await expect.poll(() => page.evaluate(() => document.activeElement?.getAttribute("data-testid"))).toBe("hosts");
  expect(sent).toEqual([]);
  await page.reload();
  expect(await page.getByTestId("hosts").inputValue()).toBe("not_a_host");
  expect(await page.getByTestId("task").inputValue()).toBe("Build something small.");
});

test.each(["light", "dark"] as const)("everybody can fill it in (%s)", async (colorScheme) => {
  const page = await openNew(colorScheme);
  await page.getByTestId("environment").selectOption("new");
  await page.getByText("Packages to install").click();
  await page.getByText("Advanced: image and limits").click();
  await page.getByTestId("network-unrestricted").click();
  expect(await seriousViolations(page, "main")).toEqual([]);
  await page.getByTestId("network-limited").click();
  expect(await seriousViolations(page, "main")).toEqual([]);
});
