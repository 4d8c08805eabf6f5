import { describe, expect, test } from "vitest";
import { bearerChallenge, Challenges } from "./challenges.ts";

const none = { resourceMetadata: null, scopes: null, error: null };

describe("a challenge", () => {
  test.each<[string, ReturnType<typeof bearerChallenge>]>([
    ["", null],
    ['Basic realm="x"', null],
    ["Bearer", none],
    ['bearer scope="a b"', { ...none, scopes: ["a", "b"] }],
    [
      'Basic realm="Bearer scope=evil", Bearer realm="x", scope="read", resource_metadata="https://a.test/m", error=insufficient_scope',
      { resourceMetadata: "https://a.test/m", scopes: ["read"], error: "insufficient_scope" },
    ],
    ['Bearer scope="mine", DPoP scope="other"', { ...none, scopes: ["mine"] }],
    ['Bearer error_scope="no", scope="yes"', { ...none, scopes: ["yes"] }],
    ['Bearer scope="a \\"b\\" c"', { ...none, scopes: ["a", "c"] }],
    ['Bearer scope="first", scope="second"', { ...none, scopes: ["first"] }],
    ['Bearer scope="a a  b"', { ...none, scopes: ["a", "b"] }],
    ['Bearer scope="never closed', none],
    ['Bearer scope=""', none],
  ])("%s", (header, expected) => {
    expect(bearerChallenge(header)).toEqual(expected);
  });

  test("a huge one is read as far as is reasonable", () => {
    const scopes = bearerChallenge(`Bearer scope="${"a ".repeat(1_000)}", error="x"`)?.scopes;
    expect(scopes).toEqual(["a"]);
    const many = Array.from({ length: 500 }, (_, index) => `s${index}`).join(" ");
    expect(bearerChallenge(`Bearer scope="${many}"`)?.scopes).toHaveLength(100);
    expect(bearerChallenge(`Bearer x="${"\\".repeat(1_000_000)}"`)).toEqual(none);
  });
});

describe("what is remembered", () => {
  test("the last challenge of each server, by its normalised address", () => {
    const challenges = new Challenges();
    challenges.note("https://MCP.test/mcp/", 'Bearer scope="one"');
    challenges.note("https://mcp.test/mcp", 'Bearer scope="two"');
    challenges.note("https://mcp.test/mcp", 'Basic realm="no"');
    challenges.note("https://mcp.test/mcp", undefined);
    expect(challenges.last("https://mcp.test:443/mcp")?.scopes).toEqual(["two"]);
    expect(challenges.last("https://mcp.test/other")).toBeNull();
    challenges.answered("https://mcp.test/mcp");
    expect(challenges.last("https://mcp.test/mcp")).toBeNull();
  });

  test("a thousand servers, no more", () => {
    const challenges = new Challenges();
    for (let index = 0; index <= 1_000; index++) challenges.note(`https://${index}.test/`, "Bearer");
    expect(challenges.last("https://0.test/")).toBeNull();
    expect(challenges.last("https://1.test/")).toEqual(none);
    expect(challenges.last("https://1000.test/")).toEqual(none);
  });
});
