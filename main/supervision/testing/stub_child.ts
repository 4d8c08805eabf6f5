/**
 * Stands in for the engine and the broker in the supervisor's tests: a real process with the real messages and scripted
 * ends. `LONGHAUL_STUB` is a folder: each start appends a line to `starts.jsonl` there, and `<role>.json` (if any) lists
 * what the n-th start does.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BrokerBoot, EngineBoot } from "../../contract/process.ts";

/** What one start does; the last entry counts for all later starts. */
export interface StubScript {
  do: "serve" | "die" | "exit" | "fail" | "hang";
  /** Wait before dying, exiting or failing. */
  after_ms?: number;
  signal?: NodeJS.Signals;
  code?: number;
  failure?: "data_dir_locked" | "port_in_use";
  /** Say `ready` before that. */
  ready?: boolean;
  ready_after_ms?: number;
  ignores_drain?: boolean;
}

export interface StubStart {
  role: "engine" | "broker";
  pid: number;
  env: Record<string, string>;
  boot: BrokerBoot | EngineBoot;
}

const folder = process.env.LONGHAUL_STUB ?? "";

process.once("message", (boot: BrokerBoot | EngineBoot) => run("model" in boot ? "broker" : "engine", boot));
process.on("disconnect", () => process.exit(0));
process.on("SIGTERM", () => process.exit(0));

function note(name: string, line: object): void {
  appendFileSync(join(folder, name), `${JSON.stringify(line)}\n`);
}

function run(role: "engine" | "broker", boot: BrokerBoot | EngineBoot): void {
  const starts = join(folder, "starts.jsonl");
  const before = existsSync(starts) ? readFileSync(starts, "utf8").split("\n") : [];
  const start = before.filter((line) => line.includes(`"role":"${role}"`)).length;
  note("starts.jsonl", { role, pid: process.pid, env: process.env, boot });
  const path = join(folder, `${role}.json`);
  const scripts: StubScript[] = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
  const script = scripts[Math.min(start, scripts.length - 1)] ?? { do: "serve" };
  follow(role, script, "port" in boot && boot.port !== 0 ? boot.port : 20_000 + start);
}

function follow(role: string, script: StubScript, port: number): void {
  const ready = script.ready ?? script.do === "serve";
  const address = { url: `http://127.0.0.1:${port}`, token: `token-${process.pid}` };
  if (ready)
    setTimeout(() => process.send?.({ type: "ready", ...address, pid: process.pid }), script.ready_after_ms ?? 0);
  process.on("message", (message: { type: string }) => {
    note("messages.jsonl", { role, pid: process.pid, message });
    if (message.type === "drain" && script.ignores_drain !== true) {
      note("drained.jsonl", { role });
      process.exit(0);
    }
    if (message.type === "sign_in_code") process.send?.({ type: "sign_in_code", code: "one-time" });
  });
  if (script.ignores_drain === true) process.removeAllListeners("disconnect");
  setTimeout(() => end(script), script.after_ms ?? 0);
}

function end(script: StubScript): void {
  if (script.do === "die") process.kill(process.pid, script.signal ?? "SIGKILL");
  if (script.do === "exit") process.exit(script.code ?? 0);
  if (script.do === "fail") {
    process.send?.({
      type: "failed",
      code: script.failure ?? "other",
      message: "It failed; nothing is lost; try again.",
    });
    process.exit(1);
  }
}
