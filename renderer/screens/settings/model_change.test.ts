import { describe, expect, it } from "vitest";
import { modelChange } from "../../../main/contract/vaults/settings.ts";
import { changeOf } from "./model_change.ts";

describe("the model endpoint's form", () => {
  it.each([
    ["", "api_key", " sk-1 \n", { base_url: null, api_key: "sk-1" }],
    [" https://gate.test/x ", "auth_token", "tok", { base_url: "https://gate.test/x", auth_token: "tok" }],
    ["http://127.0.0.1:11434", "none", "left over", { base_url: "http://127.0.0.1:11434" }],
  ] as const)("%j with %s sends what the engine takes", (url, kind, secret, body) => {
    expect(changeOf(url, kind, secret)).toEqual(body);
    expect(modelChange.safeParse(body).success).toBe(true);
  });

  it.each([
    ["", "none", "", "base_url"],
    ["gate.test", "api_key", "sk-1", "base_url"],
    ["javascript:alert(1)", "api_key", "sk-1", "base_url"],
    ["", "api_key", "  ", "secret"],
    ["", "api_key", "sk canary", "secret"],
    ["", "auth_token", "clé-canary", "secret"],
  ] as const)("%j with %s and %j is stopped at its field", (url, kind, secret, field) => {
    const problem = changeOf(url, kind, secret);
    expect(problem).toMatchObject({ field });
    expect(JSON.stringify(problem)).not.toContain("canary");
  });
});
