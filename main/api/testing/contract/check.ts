/** Checks a JSON value against a type of the SDK. */
import type { Shape } from "./sdk_types.ts";

export interface CheckOptions {
  /**
   * For an SDK older than this server: fields and union members that it does not know are no fault, because an API may add
   * to what it answers.
   */
  older?: boolean;
}

/** What this server answers beyond the SDK's types; anything else that is not declared is a fault. */
const ADDITIONS: { type: string; field: string }[] = [
  // Files lists of SDKs before 0.122 and of other clients page by these; newer SDKs do not look at them.
  ...["has_more", "first_id", "last_id"].map((field) => ({ type: "PageCursorResponse", field })),
  // Nothing in a request tells `client.files` from `client.beta.files`, whose files have it.
  { type: "FileMetadata", field: "scope" },
];

/** Members that this server adds to unions of the SDK, by their `type`. */
const UNION_ADDITIONS: { union: string; type: string }[] = [
  // A repository on this disk.
  ...["BetaManagedAgentsSessionResource", "BetaManagedAgentsSessionResourceConfig", "ResourceRetrieveResponse"].map(
    (union) => ({ union, type: "local_repository" }),
  ),
];

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/;

/** @returns one line per fault, each beginning with the path of the value; empty when the value has the shape */
export function faultsOf(value: unknown, shape: Shape, path = "$", options: CheckOptions = {}): string[] {
  switch (shape.kind) {
    case "any":
      return [];
    case "never":
      return [`${path}: must be absent (it is ${shown(value)})`];
    case "null":
      return value === null ? [] : [`${path}: must be null (it is ${shown(value)})`];
    case "string":
    case "number":
    case "boolean":
      return primitiveFaults(value, shape.kind, path);
    case "literal":
      return value === shape.value ? [] : [`${path}: must be ${shown(shape.value)} (it is ${shown(value)})`];
    case "array":
      if (!Array.isArray(value)) return [`${path}: must be a list (it is ${shown(value)})`];
      return value.flatMap((item, at) => faultsOf(item, shape.of(), `${path}[${at}]`, options));
    case "object":
      return objectFaults(value, shape, path, options);
    case "union":
      return unionFaults(value, shape, path, options);
  }
}

function primitiveFaults(value: unknown, kind: "string" | "number" | "boolean", path: string): string[] {
  if (typeof value !== kind) return [`${path}: must be a ${kind} (it is ${shown(value)})`];
  if (kind === "string" && path.endsWith("_at") && !TIME.test(value as string)) {
    return [`${path}: must be an RFC 3339 time (it is ${shown(value)})`];
  }
  return [];
}

function objectFaults(
  value: unknown,
  shape: Extract<Shape, { kind: "object" }>,
  path: string,
  options: CheckOptions,
): string[] {
  if (!isObject(value)) return [`${path}: must be ${shape.name || "an object"} (it is ${shown(value)})`];
  const faults: string[] = [];
  for (const [key, member] of shape.members) {
    if (value[key] !== undefined) faults.push(...faultsOf(value[key], member.shape(), `${path}.${key}`, options));
    else if (!member.optional) faults.push(`${path}.${key}: is required by ${shape.name || "its type"} and absent`);
  }
  for (const key of Object.keys(value)) {
    if (shape.members.has(key)) continue;
    if (shape.index !== null) faults.push(...faultsOf(value[key], shape.index(), `${path}.${key}`, options));
    else if (options.older !== true && !isAddition(shape.name, key)) {
      faults.push(`${path}.${key}: is not a field of ${shape.name || "its type"}`);
    }
  }
  return faults;
}

function isAddition(type: string, field: string): boolean {
  return ADDITIONS.some((addition) => addition.type === type && addition.field === field);
}

function unionFaults(
  value: unknown,
  shape: Extract<Shape, { kind: "union" }>,
  path: string,
  options: CheckOptions,
): string[] {
  const objects = shape.of.filter((part) => part.kind === "object");
  const fitting = isObject(value) && objects.length > 0 ? objects.filter((part) => literalsFit(value, part)) : shape.of;
  if (fitting.length === 0 && isObject(value)) {
    const type = String(value["type"]);
    const added = UNION_ADDITIONS.some((addition) => addition.union === shape.name && addition.type === type);
    if (added || options.older === true) return [];
    return [`${path}: no member of ${shape.name || "its union"} has ${tags(value, objects)}`];
  }
  let fewest: string[] | null = null;
  for (const part of fitting) {
    const faults = faultsOf(value, part, path, options);
    if (faults.length === 0) return [];
    if (fewest === null || faults.length < fewest.length) fewest = faults;
  }
  if (fewest !== null && (fitting.length === 1 || isObject(value))) return fewest;
  return [`${path}: must be one of ${shape.of.map(named).join(" | ").slice(0, 300)} (it is ${shown(value)})`];
}

/** True when every field of `part` that has one fixed value has it in `value` too: such fields tell a union's members apart. */
function literalsFit(value: Record<string, unknown>, part: Extract<Shape, { kind: "object" }>): boolean {
  for (const [key, member] of part.members) {
    const shape = member.shape();
    if (shape.kind !== "literal") continue;
    if (value[key] === undefined ? !member.optional : value[key] !== shape.value) return false;
  }
  return true;
}

function tags(value: Record<string, unknown>, parts: Extract<Shape, { kind: "object" }>[]): string {
  const keys = new Set<string>();
  for (const part of parts) {
    for (const [key, member] of part.members) if (member.shape().kind === "literal") keys.add(key);
  }
  return [...keys].map((key) => `${key} ${shown(value[key])}`).join(" and ");
}

function named(shape: Shape): string {
  if (shape.kind === "literal") return JSON.stringify(shape.value);
  return shape.kind === "object" && shape.name !== "" ? shape.name : shape.kind;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? "absent").slice(0, 120);
}
