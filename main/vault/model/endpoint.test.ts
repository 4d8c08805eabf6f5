import { expect, test } from "vitest";
import { resolveEndpoint, secretsOf } from "./endpoint.ts";

const KEY = "sk-ant-canary-1";

test("nothing configured, or only empty variables, is the demo", () => {
  expect(resolveEndpoint({})).toEqual({ kind: "demo" });
  expect(resolveEndpoint({ base_url: " ", api_key: "", auth_token: "\n" })).toEqual({ kind: "demo" });
});

test("a key alone goes to the default endpoint", () => {
  expect(resolveEndpoint({ api_key: `${KEY}\n` })).toMatchObject({
    kind: "remote",
    host: "api.anthropic.com",
    prefix: "",
    credentials: { "x-api-key": KEY },
    exposed: false,
  });
});

test("key and token are both sent, each in its header; the address may have a path", () => {
  const endpoint = resolveEndpoint({
    base_url: "https://gateway.test:8443/anthropic/",
    api_key: KEY,
    auth_token: "tok",
  });
  expect(endpoint).toMatchObject({
    host: "gateway.test:8443",
    prefix: "/anthropic",
    credentials: { "x-api-key": KEY, authorization: "Bearer tok" },
  });
});

test("a local endpoint needs no key", () => {
  expect(resolveEndpoint({ base_url: "http://127.0.0.1:11434" })).toMatchObject({ kind: "remote", credentials: {} });
});

test.each([
  ["http://10.0.0.5:4000", true],
  ["http://localhost:4000", false],
  ["http://[::1]:4000", false],
  ["http://127.0.0.1.evil.test", true],
  ["https://gateway.test", false],
])("a key for %s crosses the network in the clear: %s", (base_url, exposed) => {
  expect(resolveEndpoint({ base_url, api_key: KEY })).toMatchObject({ exposed });
});

test.each([
  [{ base_url: "api.anthropic.com" }, "not a URL"],
  [{ base_url: "ftp://host" }, "only https: and http:"],
  [{ base_url: "https://user:pw@host" }, "user name or password"],
  [{ base_url: "https://host/?x=1" }, "query"],
  [{ api_key: "two words" }, "ANTHROPIC_API_KEY holds spaces"],
  [{ auth_token: "a\nb: c" }, "ANTHROPIC_AUTH_TOKEN holds spaces"],
])("%o cannot be used, and the text says why without the value", (model, expected) => {
  const endpoint = resolveEndpoint(model);
  expect(endpoint).toMatchObject({ kind: "unusable", message: expect.stringContaining(expected) });
  expect(JSON.stringify(endpoint)).not.toMatch(/two words|:pw@/);
});

test("every secret value is known for masking", () => {
  expect(secretsOf({ api_key: " k1 ", auth_token: "t1", base_url: "https://u:pw@host" })).toEqual(["k1", "t1", "pw"]);
});
