/** Typed reading of query parameters; unknown ones are ignored, as `?beta=true` of older clients must be. */
import { invalid } from "../../contract/errors.ts";
import type { ApiContext } from "./context.ts";

const RFC3339 = /^\d{4}-\d{2}-\d{2}([Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,3}(?<finer>\d{0,6}))?)?([Zz]|[+-]\d{2}:?\d{2}))?$/;

export class Query {
  readonly #params: URLSearchParams;

  constructor(c: ApiContext) {
    this.#params = new URL(c.req.url).searchParams;
  }

  /** The last value of a parameter; absent and empty are the same. */
  text(name: string): string | undefined {
    const value = this.#params.getAll(name).at(-1);
    return value === "" ? undefined : value;
  }

  /** All values of `name[]` and `name`. */
  list(name: string, max: number): string[] {
    const values = [...this.#params.getAll(`${name}[]`), ...this.#params.getAll(name)];
    if (values.length > max) invalid(`\`${name}[]\` must have at most ${max} values (it has ${values.length}).`);
    return values;
  }

  integer(name: string, min: number, max: number): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max)) invalid(`\`${name}\` must be a whole number from ${min} to ${max}.`);
    return value;
  }

  flag(name: string): boolean | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    if (text !== "true" && text !== "false") invalid(`\`${name}\` must be true or false.`);
    return text === "true";
  }

  choice<T extends string>(name: string, options: readonly T[]): T | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    return options.find((option) => option === text) ?? invalid(`\`${name}\` must be one of ${options.join(", ")}.`);
  }

  choices<T extends string>(name: string, options: readonly T[], max: number): T[] {
    return this.list(name, max).map(
      (text) =>
        options.find((option) => option === text) ??
        invalid(`\`${name}[]\` must hold values from ${options.join(", ")}.`),
    );
  }

  /**
   * An RFC 3339 time, or a date for its midnight in UTC, as ISO 8601 in UTC with milliseconds, which compares as text. A
   * time of day without its zone is refused: it would mean another moment on each machine.
   * @param finer what becomes of digits beyond the millisecond, the resolution of everything that is stored
   */
  time(name: string, finer: "up" | "down"): string | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const match = RFC3339.exec(text);
    const at = match === null ? Number.NaN : Date.parse(text);
    if (Number.isNaN(at)) invalid(`\`${name}\` must be an RFC 3339 time such as 2026-11-22T09:00:00Z.`);
    const rest = finer === "up" && /[1-9]/.test(match?.groups?.["finer"] ?? "") ? 1 : 0;
    return new Date(at + rest).toISOString();
  }

  /** `created_at[gt|gte|lt|lte]` as the ledger's and the catalog's query fields. */
  createdRange(): { created_gt?: string; created_gte?: string; created_lt?: string; created_lte?: string } {
    const range: { created_gt?: string; created_gte?: string; created_lt?: string; created_lte?: string } = {};
    for (const bound of ["gt", "gte", "lt", "lte"] as const) {
      // "From" and "before" a moment inside a millisecond begin with the next one; "after" and "up to" end with this one.
      const at = this.time(`created_at[${bound}]`, bound === "gte" || bound === "lt" ? "up" : "down");
      if (at !== undefined) range[`created_${bound}`] = at;
    }
    return range;
  }
}

const DEFAULT_LIMIT = 20;
const MAX_LIMIT = 1000;

/** `limit` of a list: 1 to 1000, 20 when absent. */
export function pageLimit(query: Query, fallback: number = DEFAULT_LIMIT): number {
  return query.integer("limit", 1, MAX_LIMIT) ?? fallback;
}
