import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import { leaveNote, openInstall } from "../../sandbox/docker/janitor/install.ts";
import { EngineObjects } from "../../sandbox/docker/janitor/testing/objects.ts";
import { containerName } from "../../sandbox/docker/life/find.ts";
import { testDockerHost } from "../../sandbox/docker/testing/real_engine.ts";
import { fileBlobStore } from "../../session/blobs.ts";
import { openSqliteLedger } from "../../session/sqlite/open.ts";
import { readCommandLine } from "../arguments.ts";
import type { Context } from "../command.ts";
import { doctor } from "../doctor.ts";
import type { SandboxesReport } from "./sandboxes.ts";

const SNAPSHOT = {
  agent: { type: "agent", id: "agent_1", version: 1, name: "a", model: { id: "m" }, tools: [] },
  environment: { id: "env_1", name: "e", config: { type: "cloud" } },
  primary_thread_id: "sthr_1",
  title: null,
  metadata: {},
  resources: [],
  vault_ids: [],
  budget: null,
  deployment_id: null,
};

let objects: EngineObjects;
let dataDir: string;
let install: string;

beforeEach(async () => {
  objects = await EngineObjects.open();
  dataDir = realpathSync(mkdtempSync(`${tmpdir()}/longhaul-doctor-`));
  const opened = openInstall(dataDir);
  install = objects.track(opened.id);
  await leaveNote(objects.docker, opened);
});
afterEach(async () => {
  await objects[Symbol.asyncDispose]();
  rmSync(dataDir, { recursive: true, force: true });
});

function store() {
  return openSqliteLedger({ dataDir, blobs: fileBlobStore(join(dataDir, "blobs")) });
}

async function record(id: string): Promise<void> {
  const { ledger, close } = store();
  await ledger.createSession(id, [{ type: "longhaul.session_created", session: SNAPSHOT } as unknown as EventDraft]);
  await close();
}

async function run(...words: string[]): Promise<{ code: number; out: string }> {
  let out = "";
  const terminal = { out: (text: string) => (out += text), err: () => undefined, color: false };
  const env = { HOME: dataDir, DOCKER_HOST: testDockerHost() };
  const invocation = readCommandLine(["doctor", "--data-dir", dataDir, ...words], [doctor]);
  if (invocation.kind !== "run") throw new Error("not a run");
  const context = { terminal, env } as unknown as Context;
  return { code: await doctor.run(context, invocation.args), out };
}

/** Of this install: other tests have theirs on the same engine. */
async function report(...words: string[]): Promise<SandboxesReport> {
  const { out } = await run("--sandboxes", "--json", ...words);
  return JSON.parse(out) as SandboxesReport;
}

test("lists what is whose, removes what a deleted session left and says what stays, without and beside an engine process", async () => {
  await record("sesn_live");
  const name = (session: string): string => containerName({ install, session });
  await objects.sandbox(install, "sesn_live");
  const deleted = await objects.sandbox(install, "sesn_deleted", { start: true });
  const standing = async () =>
    Object.fromEntries(
      (await report()).objects
        .filter((object) => object.install === install)
        .map((object) => [object.name, object.standing]),
    );
  expect(await standing()).toEqual({
    [name("sesn_live")]: "live",
    [name("sesn_deleted")]: "deleted_session",
    [`longhaul-install-${install}`]: "live",
  });
  const listed = await run("--sandboxes");
  expect(listed.code).toBe(0);
  expect(listed.out).toMatch(
    new RegExp(`session deleted +container +running +${name("sesn_deleted")}  its session was deleted`),
  );
  expect(listed.out).toContain("longhaul doctor --sandboxes --remove");
  expect(await objects.exists(deleted)).toBe(true);

  // The ledger is open as an engine has it.
  const open = store();
  const removed = await run("--sandboxes", "--remove");
  await open.close();
  expect(removed.out).toContain(`Removed ${name("sesn_deleted")}`);
  expect(removed.out).toMatch(
    new RegExp(`in use +container +created +${name("sesn_live")}  belongs to a session that can resume`),
  );
  expect(await objects.exists(deleted)).toBe(false);
  expect(await objects.exists(name("sesn_live"))).toBe(true);
});

test("without its ledger, or with one that cannot be read, no session is taken for deleted", async () => {
  await objects.sandbox(install, "sesn_x");
  await report("--remove");
  expect(await objects.exists(containerName({ install, session: "sesn_x" }))).toBe(true);
  writeFileSync(join(dataDir, "ledger.db"), "not a ledger");
  await expect(run("--sandboxes", "--remove")).rejects.toThrow(/cannot be read as a ledger.*Nothing was changed/);
  expect(await objects.exists(containerName({ install, session: "sesn_x" }))).toBe(true);
});

test("an install that cannot be seen from here is kept unless --unknown says otherwise", async () => {
  const other = objects.install();
  const id = await objects.sandbox(other, "sesn_y");
  const before = await report("--remove");
  expect(before.objects.find(({ id: found }) => found === id)).toMatchObject({
    standing: "unknown",
    session: "sesn_y",
  });
  expect(await objects.exists(id)).toBe(true);
  expect((await run("--sandboxes")).out).toContain("--sandboxes --remove --unknown");
});

test("a data directory that never had a container removes nothing of its neighbours", async () => {
  const empty = join(dataDir, "inner");
  mkdirSync(empty);
  const id = await objects.sandbox(install, "sesn_z");
  await run("--sandboxes", "--remove", "--data-dir", empty);
  expect(await objects.exists(id)).toBe(true);
});

test("switches that make no sense alone are refused", async () => {
  await expect(run("--remove")).rejects.toThrow(/belong to --sandboxes/);
  await expect(run("--sandboxes", "--unknown")).rejects.toThrow(/give both/);
});
