/** The checks of the contract must be able to fail: each kind of fault is planted here and found. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, test } from "vitest";
import { faultsOf } from "./check.ts";
import { contractClient, olderContractClient } from "./client.ts";
import { readDeclarations } from "./declarations.ts";
import { takeFaults } from "./facts.ts";
import { sdkOf } from "./recorder.ts";
import type { Shape } from "./sdk_types.ts";

const newest = sdkOf("@anthropic-ai/sdk");
const older = sdkOf("anthropic-sdk-0");
const method = (name: string) => newest.methods.http.find((one) => one.name === name);
const answerOf = (name: string): Shape => {
  const answer = method(name)?.answer;
  if (answer === undefined || answer.kind === "bytes") throw new Error(`${name} answers no JSON`);
  return newest.types.shapeOf(answer.type);
};

describe("methods of the SDK", () => {
  test("each has a request; both versions have the same", () => {
    const names = newest.methods.http.map(({ name, verb, path }) => `${name} ${verb} ${path}`);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain(
      "beta.sessions.threads.events.stream GET /v1/sessions/{session_id}/threads/{thread_id}/stream",
    );
    expect(names).toContain("skills.versions.list GET /v1/skills/{skill_id}/versions");
    expect(names.length).toBeGreaterThan(100);
    expect(older.methods.http.map(({ name, verb, path }) => `${name} ${verb} ${path}`)).toEqual(names);
    expect(newest.methods.helpers.map(({ name }) => name)).toHaveLength(3);
  });

  test("a request is matched by verb, path and namespace", () => {
    expect(newest.find("GET", "/v1/environments/env_1/work/poll", true)?.name).toBe("beta.environments.work.poll");
    expect(newest.find("GET", "/v1/environments/env_1/work/work_1", true)?.name).toBe(
      "beta.environments.work.retrieve",
    );
    expect(newest.find("GET", "/v1/files", false)?.name).toBe("files.list");
    expect(newest.find("GET", "/v1/files", true)?.name).toBe("beta.files.list");
    expect(newest.find("PUT", "/v1/files", true)).toBeNull();
  });

  test("no response type is left unread", () => {
    const unread: string[] = [];
    const seen = new Set<string>();
    const walk = (shape: Shape, path: string): void => {
      if (shape.kind === "any") unread.push(path);
      if (shape.kind === "array") walk(shape.of(), `${path}[]`);
      if (shape.kind === "union") for (const part of shape.of) walk(part, path);
      if (shape.kind !== "object" || (shape.name !== "" && seen.has(shape.name))) return;
      seen.add(shape.name);
      for (const [key, member] of shape.members) walk(member.shape(), `${path}.${key}`);
    };
    for (const { types, methods } of [newest, older]) {
      seen.clear();
      for (const { name, answer, params } of methods.http) {
        if (answer.kind !== "bytes") walk(types.shapeOf(answer.type), name);
        if (params !== null) expect(types.shapeOf(params).kind).toBe("object");
      }
      expect(seen.size).toBeGreaterThan(200);
    }
    expect(unread).toEqual([]);
  });
});

const AGENT = {
  id: "agent_1",
  type: "agent",
  name: "n",
  description: null,
  model: { id: "claude-opus-5-5" },
  system: null,
  tools: [{ type: "custom", name: "t", description: "d", input_schema: { type: "object", properties: { a: 1 } } }],
  mcp_servers: [],
  skills: [],
  multiagent: null,
  execution_identity: { type: "service_account" },
  metadata: { a: "b" },
  version: 1,
  created_at: "2026-01-01T00:00:00.000Z",
  updated_at: "2026-01-01T00:00:00Z",
  archived_at: null,
};

describe("a body is checked against its type", () => {
  const faults = (change: object) => faultsOf({ ...AGENT, ...change }, answerOf("beta.agents.retrieve"));

  test("what fits has no faults", () => {
    expect(faults({})).toEqual([]);
    expect(faultsOf({ data: [AGENT], next_page: null }, answerOf("beta.agents.list"))).toEqual([]);
  });

  test.each<[string, object, RegExp]>([
    ["a missing field", { version: undefined }, /^\$\.version: is required by BetaManagedAgentsAgent/],
    ["another primitive", { version: "1" }, /^\$\.version: must be a number/],
    ["null where it is not allowed", { name: null }, /^\$\.name: must be a string/],
    ["an unknown field", { extra: 1 }, /^\$\.extra: is not a field of BetaManagedAgentsAgent/],
    ["another literal", { type: "agents" }, /^\$\.type: must be "agent"/],
    ["no time", { created_at: "yesterday" }, /^\$\.created_at: must be an RFC 3339 time/],
    ["a value of an index signature", { metadata: { a: 1 } }, /^\$\.metadata\.a: must be a string/],
    ["an unknown member of a union", { tools: [{ type: "x" }] }, /^\$\.tools\[0\]: no member of .* has type "x"/],
    [
      "a fault inside a member of a union",
      { tools: [{ ...AGENT.tools[0], name: 1 }] },
      /^\$\.tools\[0\]\.name: must be a string/,
    ],
    ["no list", { skills: {} }, /^\$\.skills: must be a list/],
    ["no object", { model: "claude-opus-5-5" }, /^\$\.model: must be BetaManagedAgentsModelConfig/],
  ])("%s is found", (_, change, expected) => {
    expect(faults(change)).toEqual([expect.stringMatching(expected)]);
  });

  test("a page must have its cursor; inherited fields count", () => {
    expect(faultsOf({ data: [] }, answerOf("beta.agents.list"))).toEqual([
      expect.stringMatching(/next_page: is required/),
    ]);
    expect(faultsOf({ data: [], next_page: null }, answerOf("beta.sessions.list"))).toEqual([
      expect.stringMatching(/prev_page: is required/),
    ]);
    expect(faultsOf(null, answerOf("beta.environments.work.poll"))).toEqual([]);
  });

  test("an older SDK allows what was added since, not what is wrong", () => {
    const shape = answerOf("beta.agents.retrieve");
    expect(faultsOf({ ...AGENT, extra: 1, tools: [{ type: "x" }] }, shape, "$", { older: true })).toEqual([]);
    expect(faultsOf({ ...AGENT, version: "1" }, shape, "$", { older: true })).toHaveLength(1);
  });

  test("a declaration that cannot be read is an error, not a check less", () => {
    expect(() => readDeclarations("export interface A { b: ~; }", "a.d.ts")).toThrow(/a\.d\.ts/);
    expect(() => readDeclarations("export type A = ;", "a.d.ts")).toThrow(/expected a type/);
    expect(() => newest.types.shape("resources/files.d.ts", "Nothing")).toThrow(/not declared/);
  });
});

/** A server with one answer for everything. */
async function answering(status: number, headers: Record<string, string>, body: string) {
  const server = createServer((_, response) => response.writeHead(status, headers).end(body));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}

const JSON_HEADERS = { "content-type": "application/json", "request-id": "req_1" };

describe("a client that watches", () => {
  test("finds faults of bodies and names the method, also that of the same path outside of beta", async () => {
    const body = JSON.stringify({ data: [{ id: 1 }], next_page: null });
    await using server = await answering(200, JSON_HEADERS, body);
    const client = contractClient(server.url, "k", { server: "stub" });
    await client.beta.files.list();
    expect(takeFaults()).toEqual([
      expect.stringMatching(/^beta\.files\.list \(1\.12\.0\)[\s\S]*\$\.data\[0\]\.id: must be a string/),
    ]);
    await client.withOptions({ apiKey: "other" }).files.list();
    expect(takeFaults()).toEqual([expect.stringMatching(/^files\.list \(1\.12\.0\)/)]);
    await olderContractClient(server.url, "k", "stub").beta.files.list();
    expect(takeFaults()).toEqual([
      expect.stringMatching(/^beta\.files\.list \(0\.121\.0\)[\s\S]*has_more: is required/),
    ]);
    await olderContractClient(server.url, "k", "stub").files.list();
    expect(takeFaults()).toEqual([expect.stringMatching(/^files\.list \(0\.121\.0\)/)]);
  });

  test("finds faults of errors", async () => {
    await using server = await answering(404, { "content-type": "text/html" }, "<h1>Not found</h1>");
    await expect(contractClient(server.url, "k", { server: "stub" }).beta.agents.retrieve("agent_1")).rejects.toThrow();
    const faults = takeFaults().join("\n");
    for (const fault of ["request-id", "content-type", "body: is no JSON", "$.error.type", "$.error.message"]) {
      expect(faults).toContain(fault);
    }
  });

  test("finds faults of stream frames, wherever the pieces are cut", async () => {
    const frames = [
      'event: session.status_running\ndata: {"type":"session.status_running","id":"sevt_1","processed_at":"2026-01-01T00:00:00Z"}',
      'event: session.status_running\ndata: {"type":"session.status_running","id":"sevt_2"}',
      'event: other\ndata: {"type":"session.status_running","id":"sevt_3","processed_at":"2026-01-01T00:00:00Z"}',
      'data: {"type":"session.deleted"}',
      ": comment",
    ];
    await using server = await answering(
      200,
      { ...JSON_HEADERS, "content-type": "text/event-stream" },
      `${frames.join("\n\n")}\n\n`,
    );
    const got: string[] = [];
    for await (const event of await contractClient(server.url, "k", { server: "stub" }).beta.sessions.events.stream(
      "sesn_1",
    ))
      got.push(event.type);
    expect(got).toHaveLength(3);
    const faults = takeFaults();
    expect(faults).toHaveLength(3);
    expect(faults[0]).toMatch(/\$\.processed_at: is required/);
    expect(faults[1]).toMatch(/named other but carries session\.status_running/);
    expect(faults[2]).toMatch(/no `event:` line/);
  });
});
