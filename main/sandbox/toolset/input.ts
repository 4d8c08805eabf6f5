/** Reading tool inputs: the model wrote them, so each field may be missing or of any type. */
import { FileError, PathRefused } from "../machine.ts";
import { ToolFailure } from "../port.ts";

/** A tool's input with typed access; every complaint names the tool and the field. */
export class ToolInput {
  readonly #tool: string;
  readonly #fields: Record<string, unknown>;

  constructor(tool: string, input: unknown) {
    this.#tool = tool;
    if (typeof input !== "object" || input === null || Array.isArray(input)) {
      throw new ToolFailure(`${tool}: the input must be a JSON object`);
    }
    this.#fields = input as Record<string, unknown>;
  }

  /** A string that must be there and not be empty. */
  required(field: string): string {
    const text = this.text(field);
    if (text === undefined || text === "") throw new ToolFailure(`${this.#tool}: ${field} is required`);
    return text;
  }

  /** A string; undefined when left out (or null, which models write for it). */
  text(field: string): string | undefined {
    return this.#optional(field, "a string", (value) => typeof value === "string");
  }

  flag(field: string): boolean {
    return this.#optional(field, "true or false", (value) => typeof value === "boolean") ?? false;
  }

  /** A whole number ≥ 0. */
  count(field: string): number | undefined {
    return this.#optional(
      field,
      "a whole number that is not negative",
      (value) => Number.isSafeInteger(value) && (value as number) >= 0,
    );
  }

  /** Two whole numbers; an empty list counts as left out. */
  range(field: string): [number, number] | undefined {
    const value = this.#fields[field];
    if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return undefined;
    if (Array.isArray(value) && value.length === 2 && value.every(Number.isSafeInteger)) {
      return [value[0] as number, value[1] as number];
    }
    throw new ToolFailure(`${this.#tool}: ${field} must be [start_line, end_line]`);
  }

  #optional<T>(field: string, what: string, valid: (value: unknown) => boolean): T | undefined {
    const value = this.#fields[field];
    if (value === undefined || value === null) return undefined;
    if (!valid(value)) throw new ToolFailure(`${this.#tool}: ${field} must be ${what}`);
    return value as T;
  }
}

const REASONS: Record<string, string> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  ELOOP: "too many levels of symbolic links",
  ENAMETOOLONG: "file name too long",
  ENOSPC: "no space left on device",
  EMFILE: "too many open files",
  ENFILE: "too many open files",
};

/** What the model is told of a failed file operation; anything unforeseen is thrown on. */
export function fileFailure(tool: string, path: string, error: unknown): ToolFailure {
  if (error instanceof ToolFailure) return error;
  if (error instanceof PathRefused) return new ToolFailure(`${tool}: ${error.message}`);
  if (error instanceof FileError) {
    return new ToolFailure(`${tool}: ${path}: ${REASONS[error.code] ?? `i/o error (${error.code})`}`);
  }
  throw error;
}
