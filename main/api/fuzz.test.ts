/**
 * No request, however odd, is answered with a 500 or leaves damage: seeded requests over every method of the contract and
 * every local route. LONGHAUL_FUZZ_SEED=<number> gives other requests, or again those of a failure.
 */
import { expect, test } from "vitest";
import { newId } from "../contract/ids.ts";
import type { Ledger } from "../session/ledger.ts";
import { temporaryStore } from "../session/testing/temporary_store.ts";
import type { ApiPorts } from "./ports.ts";
import { faultsOf } from "./testing/contract/check.ts";
import type { HttpMethod } from "./testing/contract/methods.ts";
import { envelopeFaults, type Sdk, sdkOf } from "./testing/contract/recorder.ts";
import { Random } from "./testing/fuzz/random.ts";
import { type LocalRoute, type OddRequest, OddRequests } from "./testing/fuzz/requests.ts";
import { type Answered, Sender } from "./testing/fuzz/send.ts";
import { type Rig, startRig } from "./testing/rig.ts";

const SEED = Number(process.env["LONGHAUL_FUZZ_SEED"] ?? 20_261_122);

const LOCAL: LocalRoute[] = [
  { verb: "POST", path: "/longhaul/v1/sessions/{session_id}/wake", body: { reason: "user" } },
  { verb: "POST", path: "/longhaul/v1/sign_in", body: { code: "x" } },
  { verb: "POST", path: "/longhaul/v1/environments/{environment_id}/keys", body: { name: "n" } },
  { verb: "GET", path: "/longhaul/v1/environments/{environment_id}/keys" },
  { verb: "DELETE", path: "/longhaul/v1/environments/{environment_id}/keys/none" },
  ...[
    "/longhaul/v1/sessions",
    "/longhaul/v1/sessions/{session_id}",
    "/longhaul/v1/sessions/{session_id}/events",
    "/longhaul/v1/sessions/{session_id}/requests/{event_id}",
    "/longhaul/v1/sessions/{session_id}/changes",
    "/longhaul/v1/sessions/{session_id}/outputs",
    "/longhaul/v1/search",
    "/longhaul/v1/blobs/none",
    "/longhaul/v1/health",
  ].map((path) => ({ verb: "GET", path })),
];

/** What there is before the first request, by the names of paths' and fields' ids. */
async function furnished(rig: Rig, ledger: Ledger): Promise<Record<string, string>> {
  const session_id = await rig.session();
  const session = await rig.client.beta.sessions.retrieve(session_id);
  const event_id = newId("event");
  await ledger.emitEvents(session_id, [{ type: "agent.custom_tool_use", id: event_id, name: "t", input: {} }]);
  const [thread] = (await rig.client.beta.sessions.threads.list(session_id)).data;
  const file = await rig.client.beta.files.upload({ file: new File(["x"], "x.txt") });
  return {
    ...{ session_id, thread_id: thread?.id ?? "", event_id, custom_tool_use_id: event_id, tool_use_id: event_id },
    ...{
      agent_id: session.agent.id,
      agent: session.agent.id,
      environment_id: session.environment_id,
      file_id: file.id,
    },
  };
}

/** Why an answer is not right; null when it is. */
function wrong(sdk: Sdk, request: OddRequest, { status, headers, text }: Answered): string | null {
  const method = reachedMethod(sdk, request);
  if (status >= 500) return "a server's fault";
  if (!/^req_/.test(headers.get("request-id") ?? "")) return "no request-id";
  if (status < 200 || (status >= 300 && status < 400)) return "a status that no method has";
  if (status < 300 && (method === null || method.answer.kind !== "json")) return null;
  let body: unknown;
  try {
    body = status === 204 ? null : JSON.parse(text);
  } catch {
    return "a body that is no JSON";
  }
  if (status >= 400) return envelopeFaults(body, headers).join("; ") || null;
  if (method?.answer.kind !== "json") return null;
  return faultsOf(body, sdk.types.shapeOf(method.answer.type)).join("; ") || null;
}

/** The method that a request reaches: dots in a path lead elsewhere than it was meant to go. */
function reachedMethod(sdk: Sdk, { method, verb, target }: OddRequest): HttpMethod | null {
  if (method === null || target.startsWith("//")) return null;
  return sdk.find(verb, new URL(target, "http://localhost").pathname, method.beta);
}

interface Outcome {
  statuses: Map<number, number>;
  /** Names of methods that answered one of the requests with a success, or refused one, without 404. */
  reached: Set<string>;
}

async function fuzz(rig: Rig, ledger: Ledger, seed: number, requests: number): Promise<Outcome> {
  console.log(`fuzz: seed ${seed}, ${requests} requests`);
  const sdk = sdkOf("@anthropic-ai/sdk");
  const odd = new OddRequests(new Random(seed), sdk, LOCAL);
  const sender = new Sender(rig.url, rig.token);
  const outcome: Outcome = { statuses: new Map(), reached: new Set() };
  for (let n = 0; n < requests; n += 1) {
    // What earlier requests archived or deleted would end every later one at its first check.
    if (n % 100 === 0) odd.know(await furnished(rig, ledger));
    const request = odd.next();
    const shown = () =>
      `seed ${seed}, request ${n}: ${request.verb} ${request.target}\n${request.body?.slice(0, 2000)}`;
    const answer = await sender.send(request).catch((error: unknown) => {
      throw new Error(`${shown()}\ngot no answer: ${String(error)}`);
    });
    const fault = wrong(sdk, request, answer);
    if (fault !== null) throw new Error(`${shown()}\n${answer.status} ${answer.text.slice(0, 2000)}\n${fault}`);
    if (answer.text.startsWith("{"))
      odd.learn({ ...request, method: reachedMethod(sdk, request) }, JSON.parse(answer.text));
    outcome.statuses.set(answer.status, (outcome.statuses.get(answer.status) ?? 0) + 1);
    if (request.method !== null && answer.status !== 404) outcome.reached.add(request.method.name);
  }
  sender.destroy();
  return outcome;
}

/** Everything that was stored can still be read and is whole. */
async function stillWhole(rig: Rig, ledger: Ledger): Promise<void> {
  expect(rig.failures).toEqual([]);
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined();
  const sdk = sdkOf("@anthropic-ai/sdk");
  for (const { verb, path } of sdk.methods.http) {
    if (verb !== "GET" || path.includes("{")) continue;
    const answer = await rig.request(`${path}?limit=1000&include_archived=true`);
    expect([200, 404], `${path}: ${answer.status}`).toContain(answer.status);
    const { data, error } = (await answer.json()) as { data?: unknown; error?: { message: string } };
    expect(Array.isArray(data) || error?.message.startsWith("There is no endpoint"), path).toBe(true);
  }
  for (const { id } of await ledger.listSessions({ limit: 1000, include_archived: true })) {
    expect(await ledger.verify(id)).toMatchObject({ broken_at: null, reason: null });
  }
}

test("5,000 odd requests: never a 500, every answer as the SDK's types say, nothing damaged", {
  timeout: 120_000,
}, async () => {
  const REQUESTS = 5000;
  await using rig = await startRig();
  const { statuses, reached } = await fuzz(rig, rig.ledger, SEED, REQUESTS);
  await stillWhole(rig, rig.ledger);
  // Otherwise the generator would not reach beyond the first check of each endpoint.
  expect(statuses.get(200)).toBeGreaterThan(REQUESTS / 10);
  expect(statuses.get(400)).toBeGreaterThan(REQUESTS / 10);
  for (const name of ["beta.sessions.create", "beta.sessions.events.send", "beta.files.upload", "beta.agents.update"]) {
    expect(reached).toContain(name);
  }
});

test("the same over SQLite: the hash chain of every session holds", { timeout: 120_000 }, async () => {
  const { ledger, catalog, records } = temporaryStore();
  const ports: Partial<ApiPorts> = { ledger, catalog, records };
  await using rig = await startRig(ports);
  await fuzz(rig, ledger, SEED + 1, 500);
  await stillWhole(rig, ledger);
});
