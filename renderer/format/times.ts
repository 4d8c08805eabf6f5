/** Times in the person's own zone: short where there is little room, exact on hover. */

// Spelt out: asking the platform for names costs more than everything else that is drawn for a row.
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Milliseconds since the epoch of an ISO time; `fallback` when it cannot be read. */
export function millis(iso: string | null | undefined, fallback = 0): number {
  const value = iso ? Date.parse(iso) : Number.NaN;
  return Number.isNaN(value) ? fallback : value;
}

/** `14:02:11`. */
export function clock(at: number): string {
  const date = new Date(at);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
}

/** `14:02`, with the date in front when it is not today: `20 Nov 14:02`, `20 Nov 2025 14:02`. */
export function shortTime(at: number, now: number = Date.now()): string {
  const date = new Date(at);
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}`;
  const day = dayName(date, new Date(now));
  return day === "" ? time : `${day} ${time}`;
}

/** How long ago, for lists: `now`, `4 m`, `3 h`, `2 d`, then the date. */
export function ago(at: number, now: number = Date.now()): string {
  const minutes = Math.floor(Math.max(0, now - at) / 60_000);
  if (minutes < 1) return "now";
  if (minutes < 60) return `${minutes}\u00a0m`;
  if (minutes < 1440) return `${Math.floor(minutes / 60)}\u00a0h`;
  if (minutes < 10_080) return `${Math.floor(minutes / 1440)}\u00a0d`;
  return dayName(new Date(at), new Date(now));
}

/** `Sun 22 Nov 2026, 14:02:11.312 (UTC+01:00)`: what a tooltip shows. */
export function exactTime(at: number): string {
  const date = new Date(at);
  const weekday = DAYS[date.getDay()] ?? "";
  const day = `${date.getDate()} ${monthName(date)} ${date.getFullYear()}`;
  return `${weekday} ${day}, ${clock(at)}.${date.getMilliseconds().toString().padStart(3, "0")} (${zone(date)})`;
}

function dayName(date: Date, now: Date): string {
  if (date.toDateString() === now.toDateString()) return "";
  const day = `${date.getDate()} ${monthName(date)}`;
  return date.getFullYear() === now.getFullYear() ? day : `${day} ${date.getFullYear()}`;
}

function monthName(date: Date): string {
  return MONTHS[date.getMonth()] ?? "";
}

function zone(date: Date): string {
  const offset = -date.getTimezoneOffset();
  const size = Math.abs(offset);
  return `UTC${offset < 0 ? "−" : "+"}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}

function pad(value: number): string {
  return value.toString().padStart(2, "0");
}
