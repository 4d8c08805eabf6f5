import { expect, test } from "vitest";
import { PromptCache } from "./cache.ts";
import { estimateTokens } from "./tokens.ts";

const text = (value: string, cached = false) => ({
  type: "text",
  text: value,
  ...(cached ? { cache_control: { type: "ephemeral" } } : {}),
});
const long = (label: string) => `${label} ${"word ".repeat(1000)}`;
const request = (blocks: unknown[], more: Record<string, unknown> = {}) => ({
  model: "m",
  system: [text(long("system"), true)],
  messages: [{ role: "user", content: blocks }],
  ...more,
});

function fixture(minTokens = 1024) {
  let now = 0;
  const cache = new PromptCache(minTokens, () => now);
  return { cache, advance: (ms: number) => (now += ms) };
}

test("the first request writes, the same one again reads all of it", () => {
  const { cache } = fixture();
  const body = request([text(long("a"), true)]);
  const first = cache.use(body, "key");
  expect(first).toMatchObject({ cache_read_input_tokens: 0, input_tokens: 0 });
  expect(first.cache_creation_input_tokens).toBe(estimateTokens(body));
  const second = cache.use(body, "key");
  expect(second).toMatchObject({ cache_creation_input_tokens: 0, input_tokens: 0 });
  expect(second.cache_read_input_tokens).toBe(estimateTokens(body));
});

test("a longer conversation reads the earlier prefix and writes the rest", () => {
  const { cache } = fixture();
  const before = cache.use(request([text("a", true)]), "key");
  const after = cache.use(request([text("a"), text("b"), text(long("c"), true)]), "key");
  expect(after.cache_read_input_tokens).toBe(before.cache_creation_input_tokens);
  expect(after.cache_creation_input_tokens).toBeGreaterThan(1000);
});

test("top-level cache_control caches up to the last block", () => {
  const { cache } = fixture();
  const automatic = { cache_control: { type: "ephemeral" } };
  const first = cache.use(request([text("a")], automatic), "key");
  const second = cache.use(request([text("a"), text("b")], automatic), "key");
  expect(second.cache_read_input_tokens).toBe(first.cache_creation_input_tokens);
});

test("a changed byte early in the prompt loses everything after it", () => {
  const { cache } = fixture();
  cache.use(request([text(long("a"), true)]), "key");
  const changed = cache.use({ ...request([text(long("a"), true)]), system: [text(long("other"), true)] }, "key");
  expect(changed.cache_read_input_tokens).toBe(0);
});

test("a change in the messages keeps the system prompt cached", () => {
  const { cache } = fixture();
  cache.use(request([text(long("a"), true)]), "key");
  const changed = cache.use(request([text(long("b"), true)]), "key");
  expect(changed.cache_read_input_tokens).toBeGreaterThan(1000);
  expect(changed.cache_creation_input_tokens).toBeGreaterThan(1000);
});

test("more than 20 blocks after the last breakpoint, the prefix is not found", () => {
  const filler = (count: number) => Array.from({ length: count }, (_, i) => text(`block ${i}`));
  const near = fixture();
  near.cache.use({ ...request([text(long("a"), true)]), system: "s" }, "key");
  const found = near.cache.use({ ...request([text(long("a")), ...filler(18), text("end", true)]), system: "s" }, "key");
  expect(found.cache_read_input_tokens).toBeGreaterThan(0);
  const far = fixture();
  far.cache.use({ ...request([text(long("a"), true)]), system: "s" }, "key");
  const lost = far.cache.use({ ...request([text(long("a")), ...filler(19), text("end", true)]), system: "s" }, "key");
  expect(lost.cache_read_input_tokens).toBe(0);
});

test("short prefixes are not cached", () => {
  const { cache } = fixture();
  const body = { model: "m", messages: [{ role: "user", content: [text("short", true)] }] };
  cache.use(body, "key");
  expect(cache.use(body, "key")).toMatchObject({ cache_read_input_tokens: 0, cache_creation_input_tokens: 0 });
});

test("entries end after five minutes without use, and use renews them", () => {
  const { cache, advance } = fixture();
  const body = request([text("a", true)]);
  cache.use(body, "key");
  advance(4 * 60_000);
  expect(cache.use(body, "key").cache_read_input_tokens).toBeGreaterThan(0);
  advance(4 * 60_000);
  expect(cache.use(body, "key").cache_read_input_tokens).toBeGreaterThan(0);
  advance(5 * 60_000);
  expect(cache.use(body, "key").cache_read_input_tokens).toBe(0);
});

test("keys and models do not share a cache", () => {
  const { cache } = fixture();
  const body = request([text("a", true)]);
  cache.use(body, "key");
  expect(cache.use(body, "other").cache_read_input_tokens).toBe(0);
  expect(cache.use({ ...body, model: "n" }, "key").cache_read_input_tokens).toBe(0);
});
