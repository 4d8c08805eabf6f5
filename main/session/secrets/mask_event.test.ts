import { expect, test } from "vitest";
import { knownSecrets } from "../../contract/secrets/testing/known.ts";
import { eventScrubber } from "./mask_event.ts";

const SECRET = 'canary"Zq8v\\L2mN4xR7tY\n1wB5';

function scrub(event: object, ...secrets: string[]): unknown {
  const text = JSON.stringify(event);
  const clean = eventScrubber(knownSecrets(...secrets))(text);
  return clean === text ? "unchanged" : JSON.parse(clean);
}

test("an event without a secret keeps its very text", () => {
  const text = '{"type":"agent.message","content":[{"text":"nothing  here"}] }';
  expect(eventScrubber(knownSecrets(SECRET))(text)).toBe(text);
});

test("values with quotes, backslashes and line breaks leave valid JSON behind", () => {
  for (const said of [
    SECRET,
    JSON.stringify(SECRET),
    JSON.stringify({ a: JSON.stringify([SECRET]) }),
    `\\${SECRET}n`,
  ]) {
    const clean = scrub({ type: "agent.message", content: [{ type: "text", text: `x ${said} y` }] }, SECRET);
    expect(JSON.stringify(clean)).not.toMatch(/Zq8v|L2mN4|1wB5/);
    expect(clean).toMatchObject({
      content: [{ type: "text", text: expect.stringMatching(/^x [\s\S]*\*{8}[\s\S]* y$/) }],
    });
  }
});

test("keys, numbers and whole objects of a tool's input can be a secret", () => {
  const input = { "k-1234567890": 1, pin: 87654321, nested: { user: "me", pass: "p4ss" }, list: ["87654321"] };
  const clean = scrub(
    { type: "agent.tool_use", id: "sevt_1", name: "bash", input },
    "k-1234567890",
    "87654321",
    '{"user":"me","pass":"p4ss"}',
  );
  expect(clean).toEqual({
    type: "agent.tool_use",
    id: "sevt_1",
    name: "bash",
    input: { "************": 1, pin: 0, nested: "[a secret value]", list: ["********"] },
  });
});

test("a model's raw answer is masked as its events are", () => {
  const content = [
    { type: "text", text: "k-1234567890" },
    { type: "tool_use", id: "toolu_1", name: "bash", input: { command: "echo k-1234567890" } },
  ];
  const clean = scrub({ type: "longhaul.model_response", content }, "k-1234567890", "tool_use");
  expect(clean).toEqual({
    type: "longhaul.model_response",
    content: [
      { type: "text", text: "************" },
      { type: "tool_use", id: "toolu_1", name: "bash", input: { command: "echo ************" } },
    ],
  });
});

test("what a person set up is left alone but for its texts", () => {
  const session = {
    agent: { name: "db.example.com", model: "claude-x-12345", system: "use db.example.com" },
    environment: { config: { networking: { allowed_hosts: ["db.example.com"] } } },
    resources: [{ url: "https://db.example.com/x" }],
    metadata: { host: "db.example.com" },
  };
  expect(scrub({ type: "longhaul.session_created", session }, "db.example.com", "claude-x-12345")).toEqual({
    type: "longhaul.session_created",
    session: {
      ...session,
      agent: { ...session.agent, system: "use **************" },
      metadata: { host: "**************" },
    },
  });
});

test("a key named __proto__ stays a key", () => {
  const text = '{"type":"agent.tool_use","input":{"__proto__":{"x":"k-1234567890"}}}';
  const clean = eventScrubber(knownSecrets("k-1234567890"))(text);
  expect(clean).toBe('{"type":"agent.tool_use","input":{"__proto__":{"x":"************"}}}');
});
