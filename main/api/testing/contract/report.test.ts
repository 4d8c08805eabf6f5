import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Fact } from "./facts.ts";
import { sdkOf } from "./recorder.ts";
import { renderMarkdown, renderText } from "./render.ts";
import { readFacts, reportOf } from "./report.ts";

const sdks = [sdkOf("@anthropic-ai/sdk"), sdkOf("anthropic-sdk-0")];
const sdk = sdks[0]?.version ?? "";
const call = (method: string, status: number, more: Partial<Extract<Fact, { kind: "call" }>> = {}): Fact => ({
  ...{ kind: "call", sdk, server: "memory", method, helpers: [], status, error: status < 300 ? null : "x", faults: 0 },
  ...{ test: `${method} ${status}` },
  ...more,
});
const event = (type: string, server: "memory" | "product"): Fact => ({ kind: "event", sdk, server, type, test: "t" });
const stateOf = (name: string, facts: Fact[]) =>
  reportOf(sdks, facts).methods.find((row) => row.name === name)?.sdks[sdk]?.state;

test("supported needs a success and a main error path, without faults", () => {
  const name = "beta.agents.create";
  expect(stateOf(name, [])).toBe("none");
  expect(stateOf(name, [call(name, 200)])).toBe("partial");
  expect(stateOf(name, [call(name, 400)])).toBe("partial");
  expect(stateOf(name, [call(name, 200), call(name, 400)])).toBe("supported");
  expect(stateOf(name, [call(name, 200, { faults: 1 }), call(name, 400)])).toBe("partial");
  expect(stateOf(name, [call(name, 200), call("beta.agents.list", 400)])).toBe("partial");
});

test("an error that any path gives is none; neither is what a stub answers, nor a call of the other SDK", () => {
  const name = "beta.agents.create";
  const good = call(name, 200);
  expect(stateOf(name, [good, call(name, 401)])).toBe("partial");
  expect(stateOf(name, [good, call(name, 500)])).toBe("partial");
  expect(stateOf(name, [good, call(name, 404, { error: "no_endpoint" })])).toBe("partial");
  expect(stateOf(name, [call(name, 404, { error: "no_endpoint" })])).toBe("none");
  expect(stateOf(name, [good, call(name, 400, { server: "stub" })])).toBe("partial");
  expect(stateOf(name, [good, call(name, 400, { sdk: "0.121.0" })])).toBe("partial");
});

test("a helper is known by the mark of its requests", () => {
  const helpers = ["environments-worker", "session-tool-runner"];
  const facts = [
    call("beta.sessions.events.send", 200, { helpers }),
    call("beta.sessions.events.stream", 404, { helpers }),
  ];
  expect(stateOf("beta.sessions.events.toolRunner", facts)).toBe("supported");
  expect(stateOf("beta.environments.work.worker", facts)).toBe("supported");
  expect(stateOf("beta.environments.work.poller", facts)).toBe("none");
});

test("events count when the product sent them; an excuse that is not true is a problem", () => {
  const { events, problems } = reportOf(sdks, [
    event("agent.message", "product"),
    event("agent.thinking", "memory"),
    event("workflow_run.created", "product"),
  ]);
  expect(events.find(({ type }) => type === "agent.message")?.tests).toBe(1);
  expect(problems).toContain("event agent.thinking: sent in no test");
  expect(problems).not.toContain("event agent.message: sent in no test");
  expect(problems).not.toContain("event workflow_run.error: sent in no test");
  expect(problems).toContain("event workflow_run.created: is listed as never sent, and was sent");
});

test("every method and what is missing is printed; cut lines of a killed process are left out", () => {
  const folder = mkdtempSync(join(tmpdir(), "facts-"));
  const good = call("beta.agents.create", 200);
  writeFileSync(join(folder, "1.jsonl"), `${JSON.stringify(good)}\n${JSON.stringify(good).slice(0, 20)}`);
  const facts = readFacts(folder);
  rmSync(folder, { recursive: true });
  expect(facts).toEqual([good]);
  const report = reportOf(sdks, facts);
  const markdown = renderMarkdown(report);
  for (const { name } of report.methods) expect(markdown).toContain(`| \`${name}\` |`);
  expect(markdown).toContain("* beta.agents.create with SDK 1.12.0: no error path");
  const text = renderText(report);
  expect(text).toMatch(/client\.beta\.agents .*\n {2}create +POST \/v1\/agents +PARTIAL +NONE +no +1\n/);
  expect(text).toContain(`SDK ${sdk}: 0 of ${report.methods.length} methods supported (0 %).`);
});
