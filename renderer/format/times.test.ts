import { describe, expect, it } from "vitest";
import { ago, clock, exactTime, millis, shortTime } from "./times.ts";

const local = (day: number, hour: number, minute: number, second = 0): number =>
  new Date(2026, 10, day, hour, minute, second, 312).getTime();

describe("times", () => {
  const now = local(22, 14, 2, 11);

  it("shows the clock alone today and the date on other days", () => {
    expect(clock(now)).toBe("14:02:11");
    expect(shortTime(now, now)).toBe("14:02");
    expect(shortTime(local(20, 9, 5), now)).toBe("20 Nov 09:05");
    expect(shortTime(new Date(2025, 0, 3, 7, 0).getTime(), now)).toBe("3 Jan 2025 07:00");
  });

  it("counts back in one unit", () => {
    const text = (at: number): string => ago(at, now).replace("\u00a0", " ");
    expect(text(now + 5000)).toBe("now");
    expect(text(now - 4 * 60_000)).toBe("4 m");
    expect(text(now - 3 * 3_600_000)).toBe("3 h");
    expect(text(now - 3 * 86_400_000)).toBe("3 d");
    expect(text(local(1, 0, 0))).toBe("1 Nov");
  });

  it("is exact on demand", () =>
    expect(exactTime(now)).toMatch(/^Sun 22 Nov 2026, 14:02:11\.312 \(UTC[+−]\d\d:\d\d\)$/));

  it("reads a broken time as the fallback", () => {
    expect(millis("not a time", 7)).toBe(7);
    expect(millis(null, 7)).toBe(7);
    expect(millis("2026-11-22T00:00:00.000Z")).toBe(Date.UTC(2026, 10, 22));
  });
});
