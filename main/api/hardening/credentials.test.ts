/** The key counts in its own two headers, once, and nowhere else: not where browsers, logs or links would carry it. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Rig, startRig } from "../testing/rig.ts";
import { exchange, request } from "./testing/raw.ts";

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({}, { headersTimeoutMs: 1_000 });
});
afterAll(async () => {
  expect(rig.failures).toEqual([]);
  await rig[Symbol.asyncDispose]();
});

async function get(target: string, headers: Record<string, string | readonly string[]>): Promise<number> {
  const whole = { host: rig.host, connection: "close", ...headers };
  const { answers } = await exchange(rig.url, request(`GET ${target} HTTP/1.1`, whole));
  expect(answers).toHaveLength(1);
  // Whatever was sent as a key is not repeated.
  expect(answers[0]?.body).not.toContain(rig.token);
  return answers[0]?.status ?? 0;
}

test.each<[string, () => string, number]>([
  ["in the query", () => `/v1/agents?authorization=Bearer%20${rig.token}`, 401],
  ["in the query of a stream", () => `/longhaul/v1/stream?token=${rig.token}`, 401],
  ["in the query of a settings route", () => `/longhaul/v1/settings/model?api_key=${rig.token}`, 401],
  ["as a part of the path", () => `/v1/agents/${rig.token}`, 401],
  ["as a parameter of the path", () => `/v1/agents;token=${rig.token}`, 401],
  ["behind a sign of a fragment", () => `/v1/agents#token=${rig.token}`, 400],
  ["behind an encoded sign of a fragment", () => `/v1/agents%23token=${rig.token}`, 401],
  ["as the user of a whole URL", () => `http://${rig.token}@${rig.host}/v1/agents`, 400],
  ["as the password of a whole URL", () => `http://x:${rig.token}@${rig.host}/v1/agents`, 400],
])("%s it is not looked at", async (_, target, status) => {
  expect(await get(target(), {})).toBe(status);
});

test.each<[string, () => Record<string, string | readonly string[]>, number]>([
  ["a cookie", () => ({ cookie: `token=${rig.token}; x-api-key=${rig.token}` }), 401],
  ["Basic, as the password", () => ({ authorization: `Basic ${btoa(`longhaul:${rig.token}`)}` }), 401],
  ["Basic, as it is", () => ({ authorization: `Basic ${rig.token}` }), 401],
  ["Digest", () => ({ authorization: `Digest ${rig.token}` }), 401],
  ["no scheme", () => ({ authorization: rig.token }), 401],
  ["a scheme that only begins so", () => ({ authorization: `BearerX ${rig.token}` }), 401],
  ["the proxy's header", () => ({ "proxy-authorization": `Bearer ${rig.token}` }), 401],
  ["a subprotocol of WebSocket", () => ({ "sec-websocket-protocol": `bearer, ${rig.token}` }), 401],
  ["the Referer", () => ({ referer: `http://${rig.host}/?token=${rig.token}` }), 401],
  ["a name with an underscore", () => ({ x_api_key: rig.token }), 401],
  ["half of it", () => ({ "x-api-key": rig.token.slice(0, 32) }), 401],
  ["it and more", () => ({ "x-api-key": `${rig.token}0` }), 401],
  ["it in capitals", () => ({ "x-api-key": rig.token.toUpperCase() }), 401],
  ["quoted", () => ({ "x-api-key": `"${rig.token}"` }), 401],
  ["two schemes in one line", () => ({ authorization: `Basic eDp5, Bearer ${rig.token}` }), 401],
  ["two headers, the right one first", () => ({ authorization: [`Bearer ${rig.token}`, "Bearer other"] }), 400],
  ["two headers, the right one last", () => ({ authorization: ["Bearer other", `Bearer ${rig.token}`] }), 400],
  ["two keys, the right one first", () => ({ "x-api-key": [rig.token, "other"] }), 400],
  ["two keys, the right one last", () => ({ "x-api-key": ["other", rig.token] }), 400],
])("as %s it does not open anything", async (_, headers, status) => {
  expect(await get("/v1/agents", headers())).toBe(status);
});
