/** The built user interface on the fake engine: for states that a real one reaches only by accident. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { AxeBuilder } from "@axe-core/playwright";
import type { Browser, Page } from "playwright-core";
import type { Look } from "./browser.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
/** A built interface to use in place of the product's own. */
const UI = process.env["LONGHAUL_TEST_UI"];

export interface FakeDesk {
  url: string;
  stop: () => void;
}

/** Starts the fake engine with its stories, on a port of its own. */
export async function startFakeDesk(): Promise<FakeDesk> {
  if (UI === undefined) execFileSync(process.execPath, ["main/launch.mjs", "--build"], { cwd: ROOT });
  const args = ["e2e/fake_engine/serve.ts", "--port", "0", "--ui", UI ?? "out/renderer"];
  const child: ChildProcess = spawn(process.execPath, args, { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise<string>((resolve, reject) => {
    if (child.stdout !== null) createInterface({ input: child.stdout }).once("line", resolve);
    child.once("exit", (code) => reject(new Error(`the fake engine ended with ${code}`)));
  });
  const { url } = JSON.parse(line) as { url: string };
  return { url, stop: () => child.kill("SIGTERM") };
}

/** Id of the session that tells a story. */
export function storyId(name: string): string {
  return `sesn_${name.padStart(10, "0")}`;
}

/** A signed-in window. Errors of the page fail the test that made them: `problems` gathers them. */
export async function openFakeDesk(
  browser: Browser,
  desk: FakeDesk,
  route: string,
  look: Look & { reducedMotion?: "reduce" } = {},
): Promise<{ page: Page; problems: string[] }> {
  const context = await browser.newContext({
    viewport: { width: look.width ?? 1280, height: look.height ?? 800 },
    colorScheme: look.colorScheme ?? "light",
    ...(look.reducedMotion === undefined ? {} : { reducedMotion: look.reducedMotion }),
  });
  await context.addInitScript(() => localStorage.setItem("longhaul.token", "fake-token"));
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: desk.url });
  const page = await context.newPage();
  const problems: string[] = [];
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(`${desk.url}/${route}`);
  return { page, problems };
}

/** Violations that would keep somebody out, on the page or in the part of it that a selector names. */
export async function seriousViolations(page: Page, part?: string): Promise<string[]> {
  const axe = new AxeBuilder({ page });
  const { violations } = await (part === undefined ? axe : axe.include(part)).analyze();
  return violations
    .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
    .map((violation) => `${violation.id}: ${violation.nodes.map((node) => node.target.join(" ")).join(", ")}`);
}
