import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { begunBefore } from "./sandboxes.ts";

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "longhaul-begun-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

test("what an engine process that does not answer may be making is not a leftover", async () => {
  const busy = createServer(() => undefined);
  await new Promise<void>((resolve) => busy.listen(0, "127.0.0.1", resolve));
  try {
    const url = `http://127.0.0.1:${(busy.address() as AddressInfo).port}`;
    const facts = { url, token: "t", pid: process.pid, broker_pid: 0, data_dir: dataDir };
    writeFileSync(join(dataDir, "engine.json"), JSON.stringify(facts));
    expect(await begunBefore(dataDir, 100)).toBe(0);
  } finally {
    busy.closeAllConnections();
    busy.close();
  }
});

test("without an engine process everything was begun by one that is gone", async () => {
  const before = Date.now();
  expect(await begunBefore(dataDir)).toBeGreaterThanOrEqual(before);
  const facts = { url: "http://127.0.0.1:9", token: "t", pid: 2 ** 22 + 1, broker_pid: 0, data_dir: dataDir };
  writeFileSync(join(dataDir, "engine.json"), JSON.stringify(facts));
  expect(await begunBefore(dataDir)).toBeGreaterThanOrEqual(before);
});
