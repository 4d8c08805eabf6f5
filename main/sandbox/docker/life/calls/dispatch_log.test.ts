import { appendFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DispatchLog } from "./dispatch_log.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "longhaul-dispatch-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const open = (session = "sesn_1"): DispatchLog => new DispatchLog(dir, session);

test("another process knows what was sent, and to which session", () => {
  const log = open();
  log.add("sevt_a");
  log.add("sevt_a");
  log.add('odd\n"id');
  const again = open();
  expect([again.has("sevt_a"), again.has('odd\n"id'), again.has("sevt_b"), again.size]).toEqual([true, true, false, 2]);
  expect(open("sesn_2").size).toBe(0);
});

test("what was sent to a container that is gone is lost, also after a checkpoint of the next one", () => {
  const log = open();
  log.add("sevt_a");
  log.containerLost();
  log.containerLost();
  log.checkpointed();
  const again = open();
  expect([again.isLost("sevt_a"), again.has("sevt_a"), again.size]).toEqual([true, false, 0]);
  again.add("sevt_b");
  expect(again.isLost("sevt_b")).toBe(false);
});

test("a line that a crash tore belongs to a call that was not sent", () => {
  open().add("sevt_a");
  appendFileSync(join(dir, "docker/sesn_1/dispatched"), '"sevt_b');
  const log = open();
  expect([log.has("sevt_a"), log.has("sevt_b")]).toEqual([true, false]);
  log.add("sevt_c");
  expect(open().has("sevt_c")).toBe(true);
});

test("nothing is made before a call is sent, and nothing is left of a removed session", () => {
  const log = open("../escape");
  log.containerLost();
  log.checkpointed();
  expect(existsSync(join(dir, "docker"))).toBe(false);
  log.add("sevt_a");
  log.containerLost();
  expect(existsSync(join(dir, "../escape"))).toBe(false);
  log.remove();
  expect([log.has("sevt_a"), open("../escape").isLost("sevt_a")]).toEqual([false, false]);
});
