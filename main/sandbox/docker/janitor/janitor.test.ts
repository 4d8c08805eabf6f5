import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Docker from "dockerode";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Janitor, type JanitorOptions } from "./janitor.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function janitor(docker: () => Docker | null) {
  const log: string[] = [];
  let looked = 0;
  const options: JanitorOptions = {
    docker: () => {
      looked += 1;
      return docker();
    },
    install: () => {
      throw new Error("asked for the install");
    },
    hasSession: () => Promise.resolve(true),
    idle: null,
    look_ms: 1000,
    sweep_ms: 60_000,
    log: (line) => log.push(line),
  };
  return { janitor: new Janitor(options), log, looked: () => looked };
}

test("while no engine was used nothing happens, however long", async () => {
  const rig = janitor(() => null);
  rig.janitor.start();
  await vi.advanceTimersByTimeAsync(10 * 60_000);
  expect(rig.log).toEqual([]);
  expect(await rig.janitor.sweep()).toBeNull();
  await rig.janitor.stop();
  const looked = rig.looked();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(rig.looked()).toBe(looked);
});

test("a sweep that fails is logged, and tried again only at its time", async () => {
  const rig = janitor(() => ({}) as Docker);
  rig.janitor.start();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(rig.log).toEqual(["The container engine was not tidied up: asked for the install"]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(rig.log).toHaveLength(2);
  await rig.janitor.stop();
});

test("a sweep also removes what deleted sessions left in the data directory", async () => {
  vi.useRealTimers();
  const data_dir = mkdtempSync(join(tmpdir(), "longhaul-janitor-"));
  try {
    mkdirSync(join(data_dir, "repositories/sesn_gone"), { recursive: true });
    const nothing = () => Promise.resolve([]);
    const docker = {
      listContainers: nothing,
      listImages: nothing,
      listNetworks: nothing,
      listVolumes: () => Promise.resolve({ Volumes: [] }),
      createVolume: nothing,
    };
    const log: string[] = [];
    const swept = await new Janitor({
      docker: () => docker as unknown as Docker,
      install: () => ({ id: "0123456789abcdef", data_dir }),
      hasSession: () => Promise.resolve(false),
      idle: null,
      log: (line) => log.push(line),
    }).sweep();
    expect(swept).toEqual({ removed: [], stopped: [] });
    expect(log).toEqual([
      `Removed ${join("repositories", "sesn_gone")} from the data directory: its session was deleted.`,
    ]);
    expect(existsSync(join(data_dir, "repositories/sesn_gone"))).toBe(false);
  } finally {
    rmSync(data_dir, { recursive: true, force: true });
  }
});
