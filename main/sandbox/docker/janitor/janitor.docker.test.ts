import { mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LABELS } from "../container/spec.ts";
import { PREPARING } from "../image/container_run.ts";
import { containerName, unfinishedName } from "../life/find.ts";
import { leaveNote, openInstall } from "./install.ts";
import { CERTAIN, type OwnInstall, type Remnant, takeInventory } from "./inventory.ts";
import { Janitor } from "./janitor.ts";
import { type IdleRule, reapIdle } from "./reap.ts";
import { removeRemnants } from "./remove.ts";
import { EngineObjects } from "./testing/objects.ts";

let objects: EngineObjects;
let folder: string;

beforeEach(async () => {
  objects = await EngineObjects.open();
  folder = realpathSync(mkdtempSync(`${tmpdir()}/longhaul-janitor-`));
});
afterEach(async () => {
  await objects[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function own(id: string, ...sessions: string[]): OwnInstall {
  return { id, hasSession: (session) => Promise.resolve(sessions.includes(session)), begun_before: Date.now() };
}

/** Standing by name, of the given installs: other tests use the same engine at the same time. */
function standings(remnants: readonly Remnant[], ...installs: string[]): Record<string, string> {
  const mine = remnants.filter(({ install }) => installs.includes(install));
  return Object.fromEntries(mine.map(({ name, standing }) => [name, standing]));
}

async function installIn(name: string): Promise<{ id: string; dataDir: string }> {
  const dataDir = join(folder, name);
  mkdirSync(dataDir);
  const install = openInstall(dataDir);
  objects.track(install.id);
  await leaveNote(objects.docker, install);
  return { id: install.id, dataDir };
}

test("what deleted sessions left is told from what can resume, and only it is removed", async () => {
  const me = objects.install();
  const live = await objects.sandbox(me, "sesn_live");
  const deleted = await objects.sandbox(me, "sesn_deleted", { start: true });
  const kept = await objects.checkpoint(live, `${containerName({ install: me, session: "sesn_live" })}-1`);
  const stale = await objects.checkpoint(deleted, `${containerName({ install: me, session: "sesn_deleted" })}-1`);
  const remnants = await takeInventory(objects.docker, own(me, "sesn_live"));
  const all = standings(remnants, me);
  expect(all).toEqual({
    [containerName({ install: me, session: "sesn_live" })]: "live",
    [containerName({ install: me, session: "sesn_deleted" })]: "deleted_session",
    [kept]: "live",
    [stale]: "deleted_session",
  });
  const mine = remnants.filter(({ install }) => install === me);
  const { removed, failed } = await removeRemnants(objects.docker, mine);
  expect(failed).toEqual([]);
  expect(removed.map(({ name }) => name)).toEqual([containerName({ install: me, session: "sesn_deleted" }), stale]);
  expect(await objects.exists(deleted)).toBe(false);
  expect(standings(await takeInventory(objects.docker, own(me, "sesn_live")), me)).toEqual({
    [containerName({ install: me, session: "sesn_live" })]: "live",
    [kept]: "live",
  });
  // Gone by itself since it was listed: nothing to complain about.
  expect((await removeRemnants(objects.docker, mine)).failed).toEqual([]);
});

test("what others made from our images, or named like ours, is not ours", async () => {
  const me = objects.install();
  const sandbox = await objects.sandbox(me, "sesn_gone");
  const image = await objects.checkpoint(sandbox, `${me}-x`);
  // Labels are inherited from the image, and anybody may write labels.
  const inherited = await objects.container({ name: `somebody-${me}`, image });
  const labelled = { [LABELS.install]: me, [LABELS.session]: "sesn_gone", [LABELS.checkpoint]: "1" };
  const lookalike = await objects.container({ name: `longhaul-like-${me}`, labels: labelled });
  await objects.docker.getContainer(inherited).commit({ repo: `derived-${me}`, tag: "1" });
  const unlabelled = await objects.container({ name: `longhaul-${me}-none` });
  const remnants = await takeInventory(objects.docker, own(me));
  expect(standings(remnants, me)).toEqual({
    [containerName({ install: me, session: "sesn_gone" })]: "deleted_session",
    [image]: "deleted_session",
    [`somebody-${me}`]: "foreign",
    [`longhaul-like-${me}`]: "foreign",
    [`derived-${me}:1`]: "foreign",
  });
  const everything = new Set([...CERTAIN, "unknown" as const]);
  const mine = remnants.filter(({ install }) => install === me);
  const { removed, failed } = await removeRemnants(objects.docker, mine, everything);
  // The image is in use by the person's container: the engine keeps it, and so do we.
  expect(failed.map(({ remnant }) => remnant.name)).toEqual([image]);
  expect(removed.map(({ kind }) => kind)).toEqual(["container"]);
  for (const id of [inherited, lookalike, unlabelled]) expect(await objects.exists(id)).toBe(true);
});

test("another install's are touched only when its data directory is gone for certain", async () => {
  const me = objects.install();
  const alive = await installIn("alive");
  const dead = await installIn("dead");
  const noteless = objects.install();
  for (const id of [alive.id, dead.id, noteless]) await objects.sandbox(id, "sesn_x");
  await objects.docker.createNetwork({
    Name: `longhaul-${dead.id}`,
    Labels: { [LABELS.install]: dead.id },
    Internal: true,
  });
  rmSync(dead.dataDir, { recursive: true });
  const remnants = await takeInventory(objects.docker, own(me));
  const theirs = remnants.filter(({ install }) => [alive.id, dead.id, noteless].includes(install));
  const name = (install: string): string => containerName({ install, session: "sesn_x" });
  expect(standings(theirs, alive.id, dead.id, noteless)).toEqual({
    [name(alive.id)]: "other_install",
    [`longhaul-install-${alive.id}`]: "other_install",
    [name(dead.id)]: "dead_install",
    [`longhaul-install-${dead.id}`]: "dead_install",
    [`longhaul-${dead.id}`]: "dead_install",
    [name(noteless)]: "unknown",
  });
  const { removed, failed } = await removeRemnants(objects.docker, theirs);
  expect(failed).toEqual([]);
  expect(removed.map(({ kind, install }) => [kind, install])).toEqual([
    ["container", dead.id],
    ["network", dead.id],
    ["note", dead.id],
  ]);
  expect(await objects.exists(name(alive.id))).toBe(true);
  expect(await objects.exists(name(noteless))).toBe(true);
});

test("a half-made sandbox is a leftover once its process is gone, and goes with its session", async () => {
  const me = objects.install();
  const name = unfinishedName({ install: me, session: "sesn_x" });
  const labels = { [LABELS.install]: me, [LABELS.session]: "sesn_x" };
  await objects.container({ name, labels, start: true });
  const mine = async (looker: OwnInstall) =>
    (await takeInventory(objects.docker, looker)).filter(({ install }) => install === me);
  const live = await mine(own(me, "sesn_x"));
  expect(standings(live, me)).toEqual({ [name]: "live" });
  const late = { ...own(me, "sesn_x"), begun_before: Date.now() + 3600_000 };
  expect(standings(await mine(late), me)).toEqual({ [name]: "leftover" });
  expect(standings(await mine(own(me)), me)).toEqual({ [name]: "deleted_session" });
  // It is in nobody's use yet, and no idle sandbox either.
  const now = () => Date.now() + 24 * 3600_000;
  const rule: IdleRule = { idle_ms: 1, now, restingSince: () => Promise.resolve(0), beforeStop: () => undefined };
  expect(await reapIdle(objects.docker, live, rule)).toEqual([]);
});

test("a container that prepared an image or a network is a leftover once its process is gone", async () => {
  const me = objects.install();
  const names = [`${PREPARING}${me}`, `helper-${me}`, `lookalike-${me}`] as const;
  const sandbox = await objects.sandbox(me, "sesn_x", { start: true });
  await objects.container({ name: names[0], labels: { [LABELS.install]: me } });
  const helper = { [LABELS.install]: me, "longhaul.helper": "sesn_x" };
  await objects.container({ name: names[1], labels: helper, network: `container:${sandbox}` });
  await objects.container({ name: names[2], labels: helper });
  const live = { [names[0]]: "live", [names[1]]: "live", [names[2]]: "foreign" };
  expect(standings(await takeInventory(objects.docker, own(me, "sesn_x")), me)).toMatchObject(live);
  const later = { ...own(me, "sesn_x"), begun_before: Date.now() + 3600_000 };
  const left = { [names[0]]: "leftover", [names[1]]: "leftover", [names[2]]: "foreign" };
  expect(standings(await takeInventory(objects.docker, later), me)).toMatchObject(left);
});

test("idle containers are stopped or kept one by one, and what is stopped starts again", async () => {
  const install = await installIn("idle");
  const busy = { command: ["sh", "-c", "sleep 1000 & wait", "longhaul"] };
  const ids = {
    rests: await objects.sandbox(install.id, "rests", { start: true }),
    works: await objects.sandbox(install.id, "works", { start: true }),
    rests_shortly: await objects.sandbox(install.id, "rests_shortly", { start: true }),
    runs_in_background: await objects.sandbox(install.id, "runs_in_background", { start: true, ...busy }),
    deleted: await objects.sandbox(install.id, "deleted", { start: true }),
  };
  const hour = 3600_000;
  const dropped: string[] = [];
  const idle: IdleRule = {
    idle_ms: 12 * hour,
    // Seen from a day later: the containers have been up for as long.
    now: () => Date.now() + 24 * hour,
    restingSince: (session) => {
      if (session === "works") return Promise.resolve(null);
      return Promise.resolve(session === "rests_shortly" ? Date.now() + 20 * hour : Date.now());
    },
    beforeStop: (session) => dropped.push(session),
  };
  const log: string[] = [];
  const janitor = new Janitor({
    docker: () => objects.docker,
    install: () => openInstall(install.dataDir),
    hasSession: (session) => Promise.resolve(session !== "deleted"),
    idle,
    log: (line) => log.push(line),
  });
  expect(await janitor.sweep()).toEqual({
    removed: [containerName({ install: install.id, session: "deleted" })],
    stopped: ["rests"],
  });
  expect(dropped).toEqual(["rests"]);
  expect(log).toHaveLength(2);
  expect(await objects.state(ids.rests)).toBe("exited");
  for (const id of [ids.works, ids.rests_shortly, ids.runs_in_background])
    expect(await objects.state(id)).toBe("running");
  await objects.docker.getContainer(ids.rests).start();
  expect(await objects.state(ids.rests)).toBe("running");
});

test("a container that was started just now is not stopped, however long its session rests", async () => {
  const install = await installIn("fresh");
  const id = await objects.sandbox(install.id, "sesn_fresh", { start: true });
  const remnants = await takeInventory(objects.docker, own(install.id, "sesn_fresh"));
  const rule: IdleRule = {
    idle_ms: 3600_000,
    now: () => Date.now(),
    restingSince: () => Promise.resolve(0),
    beforeStop: () => undefined,
  };
  const mine = remnants.filter((remnant) => remnant.install === install.id);
  expect(await reapIdle(objects.docker, mine, rule)).toEqual([]);
  expect(await objects.state(id)).toBe("running");
});
