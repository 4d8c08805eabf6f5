import { describe, expect, test } from "vitest";
import { fitsDay, parseCron } from "./expression.ts";
import { countBetween, nextOccurrence, occurrences, type Schedule, upcoming } from "./occurrences.ts";
import { isTimeZone, offsetAt } from "./wall_clock.ts";

function schedule(expression: string, timezone: string): Schedule {
  return { cron: parseCron(expression), timezone };
}

/** Instants from `from` on, as ISO times in UTC without seconds. */
function fires(expression: string, timezone: string, from: string, count: number): string[] {
  const at = Date.parse(from);
  return upcoming(schedule(expression, timezone), at, count).map((ms) => new Date(ms).toISOString().slice(0, 16));
}

describe("clocks go forward: what is skipped does not fire", () => {
  test("Berlin has no 02:30 on 29 March 2026", () => {
    expect(fires("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", 3)).toEqual([
      "2026-03-28T01:30",
      "2026-03-30T00:30",
      "2026-03-31T00:30",
    ]);
  });

  test("New York has no 02:00 on 8 March 2026; hourly runs stay an hour apart", () => {
    expect(fires("0 2 8 3 *", "America/New_York", "2026-01-01T00:00:00Z", 1)).toEqual(["2027-03-08T07:00"]);
    expect(fires("0 * * * *", "America/New_York", "2026-03-08T05:30:00Z", 3)).toEqual([
      "2026-03-08T06:00",
      "2026-03-08T07:00",
      "2026-03-08T08:00",
    ]);
  });

  test("Lord Howe moves by half an hour: 02:15 is skipped, 02:30 is not", () => {
    expect(fires("15,30 2 4 10 *", "Australia/Lord_Howe", "2026-10-01T00:00:00Z", 1)).toEqual(["2026-10-03T15:30"]);
  });
});

describe("clocks go back: what is shown twice fires twice", () => {
  test("02:30 in Berlin on 25 October 2026", () => {
    expect(fires("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 3)).toEqual([
      "2026-10-25T00:30",
      "2026-10-25T01:30",
      "2026-10-26T01:30",
    ]);
  });

  test("01:00 in New York on 1 November 2026, but 02:00 once", () => {
    expect(fires("0 1,2 1 11 *", "America/New_York", "2026-10-31T12:00:00Z", 3)).toEqual([
      "2026-11-01T05:00",
      "2026-11-01T06:00",
      "2026-11-01T07:00",
    ]);
  });

  test("01:45 on Lord Howe, half an hour apart, but 01:15 once", () => {
    expect(fires("15,45 1 5 4 *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", 3)).toEqual([
      "2026-04-04T14:15",
      "2026-04-04T14:45",
      "2026-04-04T15:15",
    ]);
  });

  test("over midnight, where the last hour of the day before comes after the new day's first minute", () => {
    // Havana, 1 November 2026: 01:00 becomes 00:00.
    expect(fires("30 0 1 11 *", "America/Havana", "2026-10-31T00:00:00Z", 2)).toEqual([
      "2026-11-01T04:30",
      "2026-11-01T05:30",
    ]);
    // St. John's, 7 November 2010: 00:01 became 23:01 of the day before.
    expect(fires("0,30 23,0 * 11 *", "America/St_Johns", "2010-11-07T01:30:00Z", 4)).toEqual([
      "2010-11-07T02:00",
      "2010-11-07T02:30",
      "2010-11-07T03:00",
      "2010-11-07T03:30",
    ]);
  });
});

test("zones without daylight saving, with odd offsets, with a day that never was", () => {
  expect(fires("0 9 * * *", "Asia/Kolkata", "2026-06-01T00:00:00Z", 2)).toEqual([
    "2026-06-01T03:30",
    "2026-06-02T03:30",
  ]);
  expect(fires("0 0 * * *", "Pacific/Kiritimati", "2026-06-01T00:00:00Z", 1)).toEqual(["2026-06-01T10:00"]);
  // Samoa went from 29 to 31 December 2011.
  expect(fires("0 12 * 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", 2)).toEqual([
    "2011-12-29T22:00",
    "2011-12-30T22:00",
  ]);
});

describe("the calendar", () => {
  test("months without a 31st are left out", () => {
    expect(fires("0 0 31 * *", "UTC", "2026-01-31T00:00:00Z", 3)).toEqual([
      "2026-03-31T00:00",
      "2026-05-31T00:00",
      "2026-07-31T00:00",
    ]);
  });

  test("29 February, also over a century that is no leap year", () => {
    expect(fires("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", 5)).toEqual([
      "2028-02-29T00:00",
      "2032-02-29T00:00",
      "2036-02-29T00:00",
      "2040-02-29T00:00",
      "2044-02-29T00:00",
    ]);
    expect(fires("0 0 29 2 *", "UTC", "2097-01-01T00:00:00Z", 1)).toEqual(["2104-02-29T00:00"]);
  });

  test("30 February never comes", () => {
    expect(nextOccurrence(schedule("0 0 30 2 *", "UTC"), Date.now())).toBeNull();
  });

  test("an instant is not after itself", () => {
    const minutely = schedule("* * * * *", "UTC");
    const at = Date.parse("2026-05-05T10:00:00Z");
    expect(nextOccurrence(minutely, at)).toBe(at + 60_000);
    expect(nextOccurrence(minutely, at - 1)).toBe(at);
  });
});

test("counts what lies between, up to a cap", () => {
  const minutely = schedule("* * * * *", "Europe/Berlin");
  const from = Date.parse("2026-10-24T00:00:00Z");
  const week = 7 * 86_400_000;
  expect(countBetween(minutely, from, from + week, 100_000)).toEqual({
    first: from + 60_000,
    last: from + week,
    count: 10_080,
  });
  expect(countBetween(minutely, from, from + week, 5)?.count).toBe(5);
  expect(countBetween(minutely, from, from + 59_999, 5)).toBeNull();
});

test("every minute of a transition is what the clock on the wall shows", () => {
  const zones: [string, string][] = [
    ["Europe/Berlin", "2026-03-28T20:00:00Z"],
    ["Europe/Berlin", "2026-10-24T20:00:00Z"],
    ["America/New_York", "2026-11-01T00:00:00Z"],
    ["Australia/Lord_Howe", "2026-10-03T08:00:00Z"],
    ["Australia/Lord_Howe", "2026-04-04T08:00:00Z"],
    ["America/St_Johns", "2010-11-07T00:00:00Z"],
    ["Pacific/Apia", "2011-12-30T00:00:00Z"],
    ["Africa/Casablanca", "2026-02-14T20:00:00Z"],
    ["Asia/Kathmandu", "2026-02-14T20:00:00Z"],
  ];
  const cron = parseCron("7-59/13 0-4,22-23 * * 0,6");
  for (const [timezone, start] of zones) {
    const from = Date.parse(start);
    const until = from + 18 * 3_600_000;
    const wanted: number[] = [];
    for (let instant = from + 60_000; instant <= until; instant += 60_000) {
      const shown = new Date(instant + offsetAt(timezone, instant));
      if (!cron.minutes.includes(shown.getUTCMinutes()) || !cron.hours.includes(shown.getUTCHours())) continue;
      if (fitsDay(cron, shown.getUTCMonth() + 1, shown.getUTCDate(), shown.getUTCDay())) wanted.push(instant);
    }
    const found: number[] = [];
    for (const instant of occurrences({ cron, timezone }, from)) {
      if (instant > until) break;
      found.push(instant);
    }
    expect(found, `${timezone} ${start}`).toEqual(wanted);
  }
});

test("time zones are names of the database, not offsets", () => {
  for (const name of ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "US/Pacific"]) {
    expect(isTimeZone(name), name).toBe(true);
  }
  for (const name of [
    "",
    "Mars/Olympus",
    "+01:00",
    "-05",
    "UTC+1",
    "Europe/Berlin ",
    "../etc/passwd",
    "x".repeat(99),
  ]) {
    expect(isTimeZone(name), name).toBe(false);
  }
});
