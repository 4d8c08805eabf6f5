import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytes, duration, money, percent, plural, tokens } from "./numbers.ts";

const plain = (text: string | null): string | null => text?.replaceAll("\u00a0", " ") ?? null;

describe("duration", () => {
  it.each([
    [0, "0 ms"],
    [3.4, "3 ms"],
    [999, "999 ms"],
    [999.6, "1.0 s"],
    [4200, "4.2 s"],
    [59_949, "59.9 s"],
    [59_960, "1 m 00 s"],
    [130_000, "2 m 10 s"],
    [3_599_600, "1 h 00 m"],
    [11_100_000, "3 h 05 m"],
    [187_200_000, "2 d 4 h"],
    [-5, "0 ms"],
    [Number.NaN, "0 ms"],
  ])("%d ms reads %s", (ms, text) => expect(plain(duration(ms))).toBe(text));

  it("never shows sixty of a smaller unit", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e9, noNaN: true }), (ms) => !/\b(60\s[sm]|1000\sms)\b/.test(duration(ms))),
    );
  });
});

describe("money", () => {
  it.each([
    [0, "$0.00"],
    [200_000, "<$0.001"],
    [500_000, "$0.001"],
    [3_000_000, "$0.003"],
    [9_960_000, "$0.01"],
    [210_000_000, "$0.21"],
    [1_234_560_000_000, "$1234.56"],
    [-5, "$0.00"],
    [Number.NaN, "$0.00"],
  ])("%d nano-dollars read %s", (nanos, text) => expect(money(nanos)).toBe(text));
});

describe("tokens and bytes", () => {
  it.each([
    [0, "0"],
    [940, "940"],
    [4100, "4.1 k"],
    [41_234, "41 k"],
    [999_900, "1.0 M"],
    [1_240_000, "1.2 M"],
  ])("%d tokens read %s", (count, text) => expect(plain(tokens(count))).toBe(text));

  it("names bytes", () => {
    expect(plain(bytes(512))).toBe("512 B");
    expect(plain(bytes(65_536))).toBe("66 kB");
    expect(plain(bytes(3_200_000))).toBe("3.2 MB");
  });
});

describe("percent and plural", () => {
  it("has no per cent of nothing", () => expect(percent(0, 0)).toBeNull());
  it("rounds", () => expect(plain(percent(93, 100))).toBe("93 %"));
  it("counts", () => {
    expect(plain(plural(1, "call"))).toBe("1 call");
    expect(plain(plural(1200, "reply", "replies"))).toBe("1,200 replies");
  });
});
