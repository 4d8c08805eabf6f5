import { describe, expect, test } from "vitest";
import { fitsDay, parseCron } from "./expression.ts";

const MONDAY = 1;

describe("what is taken", () => {
  test.each<[string, Partial<Record<"minutes" | "hours" | "days" | "months" | "weekdays", number[]>>]>([
    ["0 9 * * 1-5", { minutes: [0], hours: [9], weekdays: [1, 2, 3, 4, 5] }],
    ["*/20 0-4/2 1,15 * *", { minutes: [0, 20, 40], hours: [0, 2, 4], days: [1, 15] }],
    ["5,5,1-3 22-23,0-1 * * *", { minutes: [1, 2, 3, 5], hours: [0, 1, 22, 23] }],
    ["0 0 * jan-MAR,Dec *", { months: [1, 2, 3, 12] }],
    ["0 0 * * 7", { weekdays: [0] }],
    ["0 0 * * 5-7", { weekdays: [5, 6, 0] }],
    ["0 0 * * fri-sun", { weekdays: [5, 6, 0] }],
    ["0 0 * * SUN-tue", { weekdays: [0, 1, 2] }],
    ["\t59   23  31 12 6 ", { minutes: [59], hours: [23], days: [31], months: [12], weekdays: [6] }],
  ])("%s", (text, wanted) => {
    const cron = parseCron(text);
    for (const [field, values] of Object.entries(wanted)) {
      expect([...cron[field as keyof typeof wanted]], field).toEqual(values);
    }
  });
});

describe("what is refused, with what to write instead", () => {
  test.each<[string, RegExp]>([
    ["", /five fields.*it has 0/],
    ["* * * *", /five fields.*it has 4/],
    ["0 0 9 * * 1", /five fields.*it has 6/],
    ["@daily", /shortcuts/],
    ["60 * * * *", /60 in the minute field, which takes 0 to 59/],
    ["* 24 * * *", /hour/],
    ["* * 0 * *", /day of month/],
    ["* * * 13 *", /month/],
    ["* * * * 8", /day of week/],
    ["0 0 L * *", /"L" in the day of month field/],
    ["0 0 15W * *", /"15W"/],
    ["0 0 * * 1#2", /"1#2"/],
    ["0 0 ? * *", /"\?"/],
    ["-1 * * * *", /"-1"/],
    ["1- * * * *", /"1-"/],
    ["1.5 * * * *", /"1\.5"/],
    ["1,,2 * * * *", /""/],
    ["*/0 * * * *", /step/],
    ["*/60 * * * *", /step/],
    ["*/x * * * *", /step/],
    ["5/15 * * * *", /step without a range.*5-59\/15/],
    ["1-5/2/2 * * * *", /"1-5\/2\/2"/],
    ["0 22-2 * * *", /goes down.*22-23,0-2/],
    ["0 0 * MON *", /"MON" in the month field/],
    ["0 0 mon * *", /"mon" in the day of month field/],
    ["x".repeat(300), /at most 256/],
    [`${"9".repeat(60)} * * * *`, /…/],
  ])("%s", (text, wanted) => {
    expect(() => parseCron(text)).toThrow(wanted);
  });
});

test("a day fits by either field only where both are given", () => {
  const either = parseCron("0 0 13 * fri");
  expect(fitsDay(either, 2, 13, MONDAY)).toBe(true);
  expect(fitsDay(either, 2, 14, 5)).toBe(true);
  expect(fitsDay(either, 2, 14, MONDAY)).toBe(false);
  const weekday = parseCron("0 0 * * fri");
  expect(fitsDay(weekday, 2, 13, MONDAY)).toBe(false);
  const stepped = parseCron("0 0 */2 * 1");
  expect(fitsDay(stepped, 2, 3, 2)).toBe(true);
  expect(fitsDay(stepped, 2, 4, MONDAY)).toBe(true);
  expect(fitsDay(parseCron("0 0 13 3 fri"), 2, 13, 5)).toBe(false);
});
