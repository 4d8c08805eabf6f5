/** Fifty sessions with real sandboxes: made, taken on by the next engine process, stopped when idle, and used again. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Hand, ProvisionRequest, ProvisionResult, SandboxProvider } from "../../port.ts";
import { type Install, newInstall } from "../testing/install.ts";
import { BUSYBOX_IMAGE } from "../testing/real_engine.ts";
import { takeInventory } from "./inventory.ts";
import { reapIdle } from "./reap.ts";

const SESSIONS = Array.from({ length: 50 }, (_, index) => `sesn_${String(index).padStart(2, "0")}`);
const HOUR = 3600_000;

let install: Install;

beforeAll(async () => {
  install = await newInstall();
});
afterAll(async () => {
  // Several at a time: one after the other takes longer than the test.
  const doomed = await install.containers();
  await atATime(4, doomed, ({ Id }) => install.docker.getContainer(Id).remove({ force: true, v: true }));
  await install.remove();
}, 300_000);

async function atATime<T>(limit: number, items: readonly T[], work: (item: T) => Promise<unknown>): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: limit }, worker));
}

function provision(provider: SandboxProvider, session_id: string, had_sandbox: boolean): Promise<ProvisionResult> {
  const config = { type: "cloud", networking: { type: "limited", allowed_hosts: [] }, packages: NO_PACKAGES };
  const environment = { id: "env_1", name: "e", config, metadata: { "longhaul.image": BUSYBOX_IMAGE } };
  return provider.provision({
    session_id,
    environment: environment as unknown as ProvisionRequest["environment"],
    resources: [],
    had_sandbox,
    onStep: () => undefined,
    onProgress: () => undefined,
    readFile: () => Promise.reject(new Error("no files")),
  });
}

const NO_PACKAGES = { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] };

function bash(hand: Hand, id: string, command: string): Promise<string> {
  return hand.execute("bash", { command }, { tool_use_id: id, signal: new AbortController().signal });
}

async function states(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { State } of await install.containers()) counts[State] = (counts[State] ?? 0) + 1;
  return counts;
}

test("are listed, adopted and reaped, and none loses its files", async () => {
  const first = install.open();
  await atATime(6, SESSIONS, async (session) => {
    const { hand } = await provision(first, session, false);
    // One leaves something running.
    const more = session === "sesn_07" ? "; sleep 100000 &" : "";
    await bash(hand, `${session}-1`, `echo ${session} > mine${more}`);
  });
  await first.close();
  expect(await states()).toEqual({ running: 50 });

  const second = install.open();
  const adopted: boolean[] = [];
  await atATime(6, SESSIONS, async (session) => {
    const result = await provision(second, session, true);
    adopted.push(result.adopted);
    expect((await bash(result.hand, `${session}-2`, "cat mine")).trim()).toBe(session);
  });
  expect(adopted).toEqual(SESSIONS.map(() => true));

  const own = {
    id: install.id,
    hasSession: (session: string) => Promise.resolve(SESSIONS.includes(session)),
    begun_before: Date.now(),
  };
  const listed = (await takeInventory(install.docker, own)).filter((remnant) => remnant.install === install.id);
  expect(listed.map(({ session, standing, state }) => [session, standing, state]).sort()).toEqual(
    SESSIONS.map((session) => [session, "live", "running"]),
  );
  const stopped = await reapIdle(install.docker, listed, {
    idle_ms: 12 * HOUR,
    now: () => Date.now() + 24 * HOUR,
    restingSince: (session) => Promise.resolve(session === "sesn_08" ? null : Date.now()),
    beforeStop: () => undefined,
  });
  expect([...stopped].sort()).toEqual(SESSIONS.filter((session) => !["sesn_07", "sesn_08"].includes(session)));
  expect(await states()).toEqual({ running: 2, exited: 48 });

  // The next call of a session whose sandbox was stopped finds its files.
  const { hand } = await provision(second, "sesn_00", true);
  expect((await bash(hand, "sesn_00-3", "cat mine")).trim()).toBe("sesn_00");
}, 300_000);
