import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import * as path from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { DataDirLocked, DataDirUnwritable, lockDataDir } from "./data_dir_lock.ts";
import { temporaryDir } from "./testing/temporary_store.ts";

const HOLD = `
  const { lockDataDir } = await import(${JSON.stringify(path.join(import.meta.dirname, "data_dir_lock.ts"))});
  lockDataDir(process.argv[1]);
  process.stdout.write("locked");
  setInterval(() => undefined, 1e6);
`;

test("a second engine is refused with the pid of the first and the folder", () => {
  const dir = temporaryDir();
  const lock = lockDataDir(dir);
  expect(() => lockDataDir(dir)).toThrow(DataDirLocked);
  expect(() => lockDataDir(dir)).toThrow(new RegExp(`${dir} is in use by the engine with process id ${process.pid}`));
  // A refused attempt must not have loosened the lock.
  expect(() => lockDataDir(dir)).toThrow(DataDirLocked);
  lock.release();
  lock.release();
  lockDataDir(dir).release();
});

test("a process that is killed holds nothing, whatever files it leaves", async () => {
  const dir = temporaryDir();
  const child = spawn(process.execPath, ["--input-type=module", "-e", HOLD, dir], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  await once(child.stdout, "data");
  expect(() => lockDataDir(dir)).toThrow(new RegExp(`process id ${child.pid}`));
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(fs.existsSync(path.join(dir, "engine.pid"))).toBe(true);
  lockDataDir(dir).release();
});

test("a stale or damaged pid file fools nobody", () => {
  const dir = temporaryDir();
  fs.writeFileSync(path.join(dir, "engine.lock"), "");
  fs.writeFileSync(path.join(dir, "engine.pid"), "1\n");
  const lock = lockDataDir(dir);
  fs.writeFileSync(path.join(dir, "engine.pid"), "garbage");
  expect(() => lockDataDir(dir)).toThrow(/in use by another engine/);
  lock.release();
});

test("a folder that cannot be made, and a lock file that is none, are named", () => {
  const dir = temporaryDir();
  fs.writeFileSync(path.join(dir, "file"), "x");
  expect(() => lockDataDir(path.join(dir, "file", "data"))).toThrow(DataDirUnwritable);
  expect(() => lockDataDir(path.join(dir, "file", "data"))).toThrow(/cannot be written.*ENOTDIR.*--data-dir/);
  fs.writeFileSync(path.join(dir, "engine.lock"), "this is not a lock file at all ".repeat(50));
  expect(() => lockDataDir(dir)).toThrow(/engine.lock is not a lock file; when no engine runs here, delete it/);
});
