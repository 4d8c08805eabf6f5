import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { storesDir } from "../../resources/history/store.ts";
import { DispatchLog } from "../life/calls/dispatch_log.ts";
import { removeFolders } from "./folders.ts";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "longhaul-folders-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

test("what deleted sessions left on this side goes, what a session needs to resume stays", async () => {
  expect(await removeFolders(dataDir, () => Promise.resolve(false))).toEqual([]);
  const ids = ["sesn_here", "sesn_gone"];
  for (const id of ids) {
    mkdirSync(join(storesDir(dataDir, id), "sesrsc_1/git"), { recursive: true });
    writeFileSync(join(storesDir(dataDir, id), "sesrsc_1/git/HEAD"), "ref: refs/heads/main\n");
    new DispatchLog(join(dataDir, "sandboxes"), id).add("toolu_1");
  }
  mkdirSync(join(dataDir, "repositories/mine"));
  const removed = await removeFolders(dataDir, (id) => Promise.resolve(id === "sesn_here"));
  expect(removed).toEqual([join("repositories", "sesn_gone"), join("sandboxes", "docker", "sesn_gone")]);
  expect(ids.map((id) => existsSync(storesDir(dataDir, id)))).toEqual([true, false]);
  expect(ids.map((id) => new DispatchLog(join(dataDir, "sandboxes"), id).has("toolu_1"))).toEqual([true, false]);
  expect(existsSync(join(dataDir, "repositories/mine"))).toBe(true);
});

test("when the sessions cannot be asked for nothing is removed", async () => {
  mkdirSync(storesDir(dataDir, "sesn_1"), { recursive: true });
  const removal = removeFolders(dataDir, () => Promise.reject(new Error("locked")));
  await expect(removal).rejects.toThrow("locked");
  expect(existsSync(storesDir(dataDir, "sesn_1"))).toBe(true);
});
