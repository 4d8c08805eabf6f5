/**
 * When a cron schedule fires: literally when the wall clock in its time zone shows a matching minute. A time that is
 * skipped when clocks go forward does not fire; one that is shown twice when they go back fires twice. (The libraries
 * for this move skipped times and fire repeated ones once.)
 */
import { type CronExpression, fitsDay } from "./expression.ts";
import { offsetAt } from "./wall_clock.ts";

export interface Schedule {
  cron: CronExpression;
  /** IANA name. */
  timezone: string;
}

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** Leap days come every four years, but for 2100 and its like; five of them are within this time. */
const HORIZON_DAYS = 366 * 30;

/** Instants (ms since the epoch) strictly after `after`, ascending; ends where nothing comes for decades. */
export function* occurrences({ cron, timezone }: Schedule, after: number): Generator<number, void> {
  // The day before too: while clocks go back over midnight, its last hour comes again.
  const firstDay = Math.floor((after + offsetAt(timezone, after)) / DAY_MS) - 1;
  let pending: number[] = [];
  for (let day = firstDay; day <= firstDay + HORIZON_DAYS; day++) {
    const date = new Date(day * DAY_MS);
    if (fitsDay(cron, date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCDay())) {
      pending.push(...instantsOfDay(cron, timezone, day * DAY_MS));
      pending.sort((a, b) => a - b);
    }
    if (pending.length === 0) continue;
    const nextDay = (day + 1) * DAY_MS;
    const nextBegins = nextDay - Math.max(...offsetsAround(timezone, nextDay));
    const ready = pending.filter((instant) => instant < nextBegins);
    pending = pending.filter((instant) => instant >= nextBegins);
    for (const instant of ready) if (instant > after) yield instant;
  }
}

/** The first instant strictly after `after`; null when there is none for decades, such as on the 30th of February. */
export function nextOccurrence(schedule: Schedule, after: number): number | null {
  return occurrences(schedule, after).next().value ?? null;
}

/** At most `count` instants strictly after `after`. */
export function upcoming(schedule: Schedule, after: number, count: number): number[] {
  const found: number[] = [];
  for (const instant of occurrences(schedule, after)) {
    found.push(instant);
    if (found.length === count) break;
  }
  return found;
}

/** Instants after `after` and up to `until`, counted up to `cap`; null when there is none. */
export function countBetween(
  schedule: Schedule,
  after: number,
  until: number,
  cap: number,
): { first: number; last: number; count: number } | null {
  let first: number | null = null;
  let last = after;
  let count = 0;
  for (const instant of occurrences(schedule, after)) {
    if (instant > until) break;
    first ??= instant;
    last = instant;
    count += 1;
    if (count >= cap) break;
  }
  return first === null ? null : { first, last, count };
}

/** @param day midnight of the wall clock's day, as if it were UTC */
function instantsOfDay(cron: CronExpression, timezone: string, day: number): number[] {
  const offsets = offsetsAround(timezone, day);
  const instants: number[] = [];
  for (const hour of cron.hours) {
    for (const minute of cron.minutes) {
      const shown = day + (hour * 60 + minute) * MINUTE_MS;
      for (const offset of offsets) {
        const instant = shown - offset;
        // With one offset all day the clock shows every time once; else it is asked.
        if (offsets.length === 1 || offsetAt(timezone, instant) === offset) instants.push(instant);
      }
    }
  }
  return instants;
}

/** The different offsets that hold from a day before to a day after the given day of the wall clock. */
function offsetsAround(timezone: string, day: number): number[] {
  const samples = [day - DAY_MS, day + DAY_MS / 2, day + 2 * DAY_MS];
  return [...new Set(samples.map((instant) => offsetAt(timezone, instant)))];
}
