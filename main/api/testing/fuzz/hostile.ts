/** Values, texts and paths that programs stumble over, and ways to spoil a value that was right. */
import type { Random } from "./random.ts";

export const HOSTILE_VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1.5,
  1e308,
  Number.MAX_SAFE_INTEGER + 2,
  "",
  " ",
  "\0",
  "a\0b",
  "\u{1f600}",
  "e\u0301\u202e\ufeff",
  "\ud800",
  "x".repeat(3000),
  "x".repeat(70_000),
  "../../etc/passwd",
  "'; DROP TABLE events; --",
  "__proto__",
  "constructor",
  "2026-02-30T25:61:61Z",
  "agent_none",
  [],
  {},
  [[]],
  [null],
  { type: "x" },
  { type: "text", text: "x" },
  { type: null },
  { toString: 1, valueOf: null },
  JSON.parse('{"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}'),
];

/** Ids as they stand in a path: encoded wrongly, cut, far too long, or meaning another place. */
export const HOSTILE_IDS: readonly string[] = [
  "none",
  "%00",
  "a%00b",
  "%E0%A4%A",
  "%",
  "%zz",
  "%ff%fe",
  "..",
  "..%2f..%2fagents",
  "%2e%2e",
  ".",
  "%2F",
  "a".repeat(500),
  "'%22;--",
  "sesn_%F0%9F%98%80",
  "__proto__",
  "latest",
  "%5Cu0000",
  "a%0d%0aset-cookie:%20x=1",
];

/** Bodies that are not JSON of the right kind, or hardly. */
export const HOSTILE_BODIES: readonly string[] = [
  "",
  " ",
  "null",
  "[]",
  '"text"',
  "1e309",
  '{"name": 1e309}',
  '{"name": "\\ud800"}',
  '{"name": "a", "name": {}}',
  '{"__proto__": {"name": "x"}}',
  "{",
  '{"name": "x"',
  '{"name": NaN}',
  "\ufeff{}",
  `${'{"a":'.repeat(2000)}1${"}".repeat(2000)}`,
  "[".repeat(20_000),
  `{"name": "${"x".repeat(300_000)}"}`,
  '{"metadata": {'.concat(Array.from({ length: 500 }, (_, at) => `"k${at}": "v"`).join(","), "}}"),
];

export const HOSTILE_TYPES: readonly string[] = [
  "text/plain",
  "application/x-www-form-urlencoded",
  "application/json; charset=utf-16",
  "multipart/form-data",
  "multipart/form-data; boundary=",
  "multipart/form-data; boundary=b",
  "x",
];

/** The value with one place in it replaced, removed, repeated, or joined by an unknown neighbour. */
export function mutated(random: Random, value: unknown): unknown {
  if (typeof value !== "object" || value === null || random.chance(0.15)) return random.pick(HOSTILE_VALUES);
  if (Array.isArray(value)) {
    if (random.chance(0.2)) return [...value, ...value];
    if (value.length === 0) return [random.pick(HOSTILE_VALUES)];
    const at = random.below(value.length);
    return value.map((item, index) => (index === at ? mutated(random, item) : item));
  }
  const copy: Record<string, unknown> = { ...value };
  const key = random.pick([...Object.keys(copy), random.chance(0.5) ? "unknown" : "constructor"]);
  if (random.chance(0.2)) delete copy[key];
  else copy[key] = mutated(random, copy[key]);
  return copy;
}
