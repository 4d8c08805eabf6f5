/** Runs a request schema and turns what is wrong into one 400 that names each field and the fix. */

import type { z } from "zod";
import { invalid } from "../errors.ts";

type Issue = z.core.$ZodIssue;

/** Longer lists of problems help nobody: the first ones are fixed first. */
const SHOWN = 3;
/** The contract's `invalid_metadata` names each problem; a bag that could be right has no more pairs than this. */
const SHOWN_OF_METADATA = 16;

/** The schema library's own texts; any other text is one of ours: a predicate such as "must be a host name". */
const STANDARD_MESSAGE = /^(Invalid|Too|Unrecognized)\b/;

/**
 * The parsed value.
 * @param what name of the whole value in messages, for example "The request body"
 * @param codes `error.details.error_code` of the refusal, by the top-level field that is wrong first
 * @throws ApiError 400 whose message names up to three fields (of metadata all) and what each must be
 */
export function parseWith<S extends z.ZodType>(
  schema: S,
  value: unknown,
  what: string,
  codes: Readonly<Record<string, string>> = {},
): z.output<S> {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const { issues } = result.error;
  const code = codes[String(issues[0]?.path[0] ?? "")];
  const shown = code === "invalid_metadata" ? SHOWN_OF_METADATA : SHOWN;
  const texts = issues.slice(0, shown).map((issue) => describe(issue, value, [], what));
  const more = issues.length - texts.length;
  if (more > 0) texts.push(`And ${more} more ${more === 1 ? "problem" : "problems"}.`);
  invalid(texts.join(" "), code);
}

/** `["tools", 0, "name"]` as a person writes it: `tools[0].name`. */
export function fieldName(path: readonly PropertyKey[]): string {
  let name = "";
  for (const part of path) {
    if (typeof part === "number") name += `[${part}]`;
    else name += name === "" ? String(part) : `.${String(part)}`;
  }
  return name.length > 200 ? `${name.slice(0, 199)}…` : name;
}

function describe(issue: Issue, input: unknown, prefix: readonly PropertyKey[], what: string): string {
  const path = [...prefix, ...issue.path];
  const subject = path.length === 0 ? what : `\`${fieldName(path)}\``;
  const value = valueAt(input, path);
  if (value !== undefined && !STANDARD_MESSAGE.test(issue.message)) return `${subject} ${issue.message}.`;
  switch (issue.code) {
    case "invalid_type":
      if (value === undefined) return `${subject} is required.`;
      return `${subject} must be ${expected(issue.expected)}, not ${kindOf(value)}.`;
    case "invalid_value":
      if (value === undefined) return `${subject} is required: ${oneOf(issue.values)}.`;
      return `${subject} must be ${oneOf(issue.values)}.`;
    case "too_small":
      return `${subject} must ${atLeast(issue.origin, Number(issue.minimum))}.`;
    case "too_big":
      return `${subject} must ${atMost(issue.origin, Number(issue.maximum), value)}.`;
    case "unrecognized_keys":
      return unknownFields(path, issue.keys);
    case "invalid_key": {
      const inner = issue.issues[0];
      return inner === undefined
        ? `${subject} has a key that is not allowed.`
        : `The key of ${describe(inner, String(path.at(-1)), [], subject)}`;
    }
    case "invalid_union":
      return describeUnion(issue, input, path, what);
    default:
      return `${subject} ${issue.message}.`;
  }
}

function unknownFields(path: readonly PropertyKey[], keys: readonly string[]): string {
  const texts = keys.slice(0, SHOWN).map((key) => `Unknown field \`${fieldName([...path, key])}\`: remove it.`);
  const more = keys.length - texts.length;
  return [...texts, ...(more > 0 ? [`And ${more} more unknown ${more === 1 ? "field" : "fields"}.`] : [])].join(" ");
}

function describeUnion(
  issue: Extract<Issue, { code: "invalid_union" }>,
  input: unknown,
  path: readonly PropertyKey[],
  what: string,
): string {
  const subject = path.length === 0 ? what : `\`${fieldName(path)}\``;
  if ("discriminator" in issue && issue.discriminator !== undefined) {
    const options = "options" in issue && Array.isArray(issue.options) ? oneOf(issue.options) : "a known type";
    return valueAt(input, path) === undefined
      ? `${subject} is required: ${options}.`
      : `${subject} must be ${options}.`;
  }
  if (valueAt(input, path) === undefined) return `${subject} is required.`;
  // The branch that the sender meant is the one that does not fail at the value itself.
  const meant = issue.errors.find((errors) => errors.every((error) => !isTypeMismatch(error)));
  const first = meant?.[0];
  if (first !== undefined) return describe(first, input, path, what);
  const kinds = issue.errors.flatMap((errors) =>
    errors.map((error) => (isTypeMismatch(error) ? expected(error.expected) : "")),
  );
  return `${subject} must be ${[...new Set(kinds.filter((kind) => kind !== ""))].join(" or ")}.`;
}

function isTypeMismatch(issue: Issue): issue is Extract<Issue, { code: "invalid_type" }> {
  return issue.code === "invalid_type" && issue.path.length === 0;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const part of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

const EXPECTED: Record<string, string> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

function expected(type: string): string {
  return EXPECTED[type] ?? type;
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "number") return Number.isInteger(value) ? "a number" : "a fraction";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function oneOf(values: readonly unknown[]): string {
  const texts = values.map((value) => JSON.stringify(value));
  return texts.length === 1 ? String(texts[0]) : `one of ${texts.join(", ")}`;
}

function atLeast(origin: string, minimum: number): string {
  if (origin === "string") return minimum === 1 ? "not be empty" : `have at least ${minimum} characters`;
  if (origin === "array") return minimum === 1 ? "not be empty" : `have at least ${minimum} entries`;
  return `be at least ${minimum}`;
}

function atMost(origin: string, maximum: number, value: unknown): string {
  if (origin === "string") return `have at most ${maximum} characters${sized(value)}`;
  if (origin === "array") return `have at most ${maximum} entries${sized(value)}`;
  return `be at most ${maximum}`;
}

function sized(value: unknown): string {
  return typeof value === "string" || Array.isArray(value) ? ` (it has ${value.length})` : "";
}
