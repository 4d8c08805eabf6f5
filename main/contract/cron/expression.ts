/**
 * Five-field cron expressions as the contract takes them: numbers, lists, ranges, steps, and names of months and weekdays.
 * No seconds or years, none of L, W, # and ?, no @daily.
 */

export interface CronExpression {
  /** Ascending. */
  minutes: readonly number[];
  hours: readonly number[];
  /** 1 to 31. */
  days: ReadonlySet<number>;
  /** 1 to 12. */
  months: ReadonlySet<number>;
  /** 0 (Sunday) to 6. */
  weekdays: ReadonlySet<number>;
  /** False for a plain `*`: only then is the day not chosen by this field. */
  days_restricted: boolean;
  weekdays_restricted: boolean;
}

/** Why a text is no cron expression, as a predicate: "must have …". */
export class CronSyntaxError extends Error {
  override readonly name = "CronSyntaxError";
}

interface Field {
  name: string;
  min: number;
  max: number;
  names?: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MINUTE: Field = { name: "minute", min: 0, max: 59 };
const HOUR: Field = { name: "hour", min: 0, max: 23 };
const DAY: Field = { name: "day of month", min: 1, max: 31 };
const MONTH: Field = { name: "month", min: 1, max: 12, names: MONTHS };
/** 7 is Sunday too, so that Friday to Sunday can be written as 5-7. */
const WEEKDAY: Field = { name: "day of week", min: 0, max: 7, names: WEEKDAYS };

const MAX_LENGTH = 256;

/** @throws CronSyntaxError */
export function parseCron(text: string): CronExpression {
  if (text.length > MAX_LENGTH) fail(`must have at most ${MAX_LENGTH} characters`);
  const fields = text.trim().split(/[ \t]+/);
  const [minute = "", hour = "", day = "", month = "", weekday = ""] = fields;
  if (text.trim().startsWith("@")) fail('must be written out in five fields: shortcuts such as "@daily" are not taken');
  if (fields.length !== 5) {
    fail(
      `must have five fields (minute, hour, day of month, month, day of week), for example "0 9 * * 1-5"; it has ${text.trim() === "" ? 0 : fields.length}`,
    );
  }
  const weekdays = valuesOf(WEEKDAY, weekday).map((value) => value % 7);
  return {
    minutes: valuesOf(MINUTE, minute),
    hours: valuesOf(HOUR, hour),
    days: new Set(valuesOf(DAY, day)),
    months: new Set(valuesOf(MONTH, month)),
    weekdays: new Set(weekdays),
    days_restricted: day !== "*",
    weekdays_restricted: weekday !== "*",
  };
}

/**
 * True when the schedule has this day. The rule of POSIX: where both the day of the month and the day of the week are
 * given, a day that fits either of them fits.
 */
export function fitsDay(cron: CronExpression, month: number, day: number, weekday: number): boolean {
  if (!cron.months.has(month)) return false;
  const byDay = cron.days.has(day);
  const byWeekday = cron.weekdays.has(weekday);
  return cron.days_restricted && cron.weekdays_restricted ? byDay || byWeekday : byDay && byWeekday;
}

function valuesOf(field: Field, text: string): number[] {
  const values = new Set<number>();
  for (const item of text.split(",")) for (const value of itemValues(field, item)) values.add(value);
  return [...values].sort((a, b) => a - b);
}

function itemValues(field: Field, item: string): number[] {
  const [range = "", stepText, ...rest] = item.split("/");
  if (rest.length > 0) unreadable(field, item);
  const [first = "", last, ...more] = range.split("-");
  if (more.length > 0) unreadable(field, item);
  const every = range === "*";
  const from = every ? field.min : numberOf(field, first, item, false);
  // Without a range, a step would only be a guess: some programs read 5/15 as 5-59/15, others as 5.
  if (stepText !== undefined && !every && last === undefined) {
    fail(
      `has a step without a range in the ${field.name} field (${show(item)}): write ${from}-${field.max}/${stepText}`,
    );
  }
  const to = every ? field.max : last === undefined ? from : numberOf(field, last, item, true);
  if (to < from) {
    fail(`has a range that goes down in the ${field.name} field (${show(item)}): write it as two, such as 22-23,0-2`);
  }
  const step = stepText === undefined ? 1 : stepOf(field, stepText, item);
  const values: number[] = [];
  for (let value = from; value <= to; value += step) values.push(value);
  return values;
}

function stepOf(field: Field, text: string, item: string): number {
  const step = /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  if (!(step >= 1 && step <= field.max)) {
    fail(`has a wrong step in the ${field.name} field (${show(item)}): use a whole number from 1 to ${field.max}`);
  }
  return step;
}

function numberOf(field: Field, text: string, item: string, isEnd: boolean): number {
  const named = field.names?.indexOf(text.toLowerCase()) ?? -1;
  // FRI-SUN goes up only when its end is read as 7.
  if (named >= 0) return named === 0 && field === WEEKDAY && isEnd ? 7 : named + (field === MONTH ? 1 : 0);
  if (!/^\d{1,2}$/.test(text)) unreadable(field, item);
  const value = Number(text);
  if (value < field.min || value > field.max) {
    fail(`has ${value} in the ${field.name} field, which takes ${field.min} to ${field.max}`);
  }
  return value;
}

function unreadable(field: Field, item: string): never {
  const names = field.names === undefined ? "" : `, names such as ${field.names[1]?.toUpperCase()}`;
  return fail(
    `has ${show(item)} in the ${field.name} field, which takes *, numbers from ${field.min} to ${field.max}${names}, lists (1,15), ranges (1-5) and steps (*/10)`,
  );
}

function show(item: string): string {
  return JSON.stringify(item.length > 40 ? `${item.slice(0, 39)}…` : item);
}

function fail(message: string): never {
  throw new CronSyntaxError(message);
}
