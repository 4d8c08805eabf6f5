import { expect, test } from "vitest";
import { isId, newId } from "./ids.ts";

test("ids sort by the order of their making, also within one millisecond and when the clock is set back", () => {
  const ids = [
    ...Array.from({ length: 500 }, () => newId("event")),
    ...Array.from({ length: 40 }, (_, n) => newId("event", 2_000_000_000_000 + n)),
    newId("event", 1_000),
  ];
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});

test("an id carries its kind's prefix and nothing that a path or a URL would misread", () => {
  expect(newId("session")).toMatch(/^sesn_[0-9A-HJKMNP-TV-Z]{26}$/);
  expect(isId("session", newId("session"))).toBe(true);
  expect(isId("session", newId("agent"))).toBe(false);
  expect(isId("session", "sesn_../../etc")).toBe(false);
  expect(isId("session", "sesn_")).toBe(false);
});
