import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { UsageError } from "../../config.ts";
import { checkEngine } from "./engine.ts";
import { checkKeychain, keychainFinding } from "./keychain.ts";
import { checkDataDir, checkGit, checkNode, checkSqlite, isAtLeast } from "./machine.ts";
import { checkPrices } from "./prices.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(`${tmpdir()}/longhaul-doctor-`);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("versions compare by number, not by letter", () => {
  expect(isAtLeast("3.51.3", [3, 51, 3])).toBe(true);
  expect(isAtLeast("3.100.0", [3, 51, 3])).toBe(true);
  expect(isAtLeast("v24.1.0", [22, 18])).toBe(true);
  expect(isAtLeast("3.51.2", [3, 51, 3])).toBe(false);
  expect(isAtLeast("3.9", [3, 51, 3])).toBe(false);
  expect(checkNode("20.19.0")).toMatchObject({ state: "fail", advice: expect.stringContaining("npm ci") });
});

test("SQLite and git are found; a missing git is a warning with what works without it", async () => {
  expect(await checkSqlite()).toMatchObject({ state: "ok" });
  expect(await checkGit({ PATH: folder })).toMatchObject({
    state: "warn",
    advice: expect.stringContaining("everything else works"),
  });
});

describe("data directory", () => {
  test("one that does not exist yet is fine and is not made", () => {
    const path = join(folder, "a", "b");
    expect(checkDataDir(path)[0]).toMatchObject({
      state: "ok",
      found: expect.stringContaining("made at the first start"),
    });
    expect(checkDataDir(path)[1]?.name).toBe("space");
    expect(readdirSync(folder)).toEqual([]);
  });

  test("a file in its place fails", () => {
    writeFileSync(join(folder, "file"), "");
    expect(checkDataDir(join(folder, "file"))).toMatchObject([
      { state: "fail", found: expect.stringContaining("not a folder") },
    ]);
  });
});

test("prices that cannot be used are a finding, and no file is none", () => {
  expect(checkPrices(folder)).toEqual([]);
  const write = (text: string) => writeFileSync(join(folder, "prices.json"), text);
  write('{"m": {"input": 1, "output": 2}}');
  expect(checkPrices(folder)).toMatchObject([{ state: "ok", found: expect.stringContaining("has a price") }]);
  for (const text of ["{", '{"m": {"input": -1, "output": 2}}', '{"m": 3}', "[]"]) {
    write(text);
    expect(checkPrices(folder)).toMatchObject([{ state: "warn", advice: expect.stringContaining("model-id") }]);
  }
});

describe("a keychain", () => {
  test("a passphrase takes its place, and one that is unusable is a finding", async () => {
    expect(await checkKeychain(folder, () => "a long passphrase")).toMatchObject({ state: "ok", name: "keychain" });
    const refuse = () => {
      throw new UsageError("LONGHAUL_VAULT_PASSPHRASE is too short.");
    };
    expect(await checkKeychain(folder, refuse)).toMatchObject({
      state: "fail",
      advice: expect.stringContaining("short"),
    });
  });

  test("one that is missing is a warning: everything else works", () => {
    const missing = { state: "missing", summary: "no Secret Service", advice: "install one" } as const;
    expect(keychainFinding(missing)).toEqual({
      name: "keychain",
      state: "warn",
      found: "no Secret Service",
      advice: "install one",
    });
  });
});

describe("model endpoint without an engine", () => {
  const model = async (endpoint: () => object) => {
    const findings = await checkEngine(folder, { model: endpoint, vaultPassphrase: () => "a long passphrase" });
    return findings.find(({ name }) => name === "model");
  };

  test("nothing set is the demo, said plainly", async () => {
    expect(await model(() => ({}))).toMatchObject({ state: "warn", found: expect.stringContaining("offline demo") });
  });

  test("one that answers is there, whatever it says; no key is sent or shown", async () => {
    const seen: object[] = [];
    const server = createServer((request, response) => {
      seen.push(request.headers);
      response.writeHead(404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const base_url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const finding = await model(() => ({ base_url, api_key: "sk-canary" }));
    expect(finding).toMatchObject({ state: "ok" });
    expect(JSON.stringify([seen, finding])).not.toContain("sk-canary");
    server.close();
  });

  test("one that is down fails and points to the demo", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    expect(await model(() => ({ base_url: `http://127.0.0.1:${port}` }))).toMatchObject({
      state: "fail",
      found: expect.stringContaining("ECONNREFUSED"),
      advice: expect.stringContaining("--demo"),
    });
  });

  test("one that cannot be used is a finding, not a crash", async () => {
    const refuse = () => {
      throw new UsageError("ANTHROPIC_BASE_URL is not an http(s) address.");
    };
    expect(await model(refuse)).toMatchObject({ state: "fail" });
  });
});
