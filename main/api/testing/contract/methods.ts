/** Every method of the SDK that this server has to support, read from the SDK itself: its classes and their code. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Declaration, Method, TypeNode } from "./declarations.ts";
import type { SdkTypes, TypeAt } from "./sdk_types.ts";

/** The namespaces of the client that make up the Managed Agents contract; what is below them belongs to it too. */
const NAMESPACES = [
  "beta.agents",
  "beta.environments",
  "beta.sessions",
  "beta.vaults",
  "beta.files",
  "beta.skills",
  "beta.memoryStores",
  "beta.deployments",
  "beta.deploymentRuns",
  "files",
  "skills",
];

/** What a successful response carries. */
export type Answer = { kind: "json"; type: TypeAt } | { kind: "stream"; type: TypeAt } | { kind: "bytes" };

export interface HttpMethod {
  /** For example `beta.sessions.threads.list`. */
  name: string;
  verb: "GET" | "POST" | "DELETE" | "PUT" | "PATCH";
  /** For example `/v1/sessions/{session_id}/threads`. */
  path: string;
  /** True for `client.beta`, which old versions mark by `?beta=true`. */
  beta: boolean;
  answer: Answer;
  /** The type of the parameters that go into query or body; null when it has none. */
  params: TypeAt | null;
}

/** A method that makes no request itself but runs a loop of them, known by a mark that its requests carry. */
export interface HelperMethod {
  name: string;
  /** Value in the header `x-stainless-helper`. */
  mark: string;
}

export interface SdkMethods {
  http: HttpMethod[];
  helpers: HelperMethod[];
}

const HELPER_MARKS: Record<string, string> = {
  "beta.sessions.events.toolRunner": "session-tool-runner",
  "beta.environments.work.poller": "environments-work-poller",
  "beta.environments.work.worker": "environments-worker",
};

/** @throws Error when the SDK's code and its declarations do not fit together: nothing is left out silently */
export function readMethods(types: SdkTypes): SdkMethods {
  const methods: SdkMethods = { http: [], helpers: [] };
  for (const namespace of NAMESPACES) {
    let at = { file: "client.d.ts", name: "Anthropic" };
    for (const field of namespace.split(".")) {
      const next = fieldClass(types, at, field);
      if (next === null) throw new Error(`The SDK has no client.${namespace}.`);
      at = next;
    }
    addClass(types, at, namespace, methods);
  }
  return methods;
}

interface ClassAt {
  file: string;
  name: string;
}

function classOf(types: SdkTypes, at: ClassAt): Extract<Declaration, { kind: "class" }> {
  const { declaration } = types.find(at.file, [at.name]);
  if (declaration.kind !== "class") throw new Error(`${at.file}: ${at.name} is no class`);
  return declaration;
}

/** The class of a resource that is a field of another one. */
function fieldClass(types: SdkTypes, at: ClassAt, field: string): ClassAt | null {
  const type = classOf(types, at).fields.find(({ name }) => name === field)?.type;
  return type?.kind === "reference" ? resourceAt(types, at.file, type) : null;
}

function resourceAt(types: SdkTypes, file: string, type: Extract<TypeNode, { kind: "reference" }>): ClassAt | null {
  // `API.AgentsAPI.Agents` and the like; a field such as `_client` is no resource.
  if (type.path.length < 2) return null;
  const found = types.find(file, type.path);
  return found.declaration.kind === "class" ? { file: found.file, name: found.name } : null;
}

function addClass(types: SdkTypes, at: ClassAt, namespace: string, into: SdkMethods): void {
  const { fields, methods } = classOf(types, at);
  const requests = requestsOf(readFileSync(join(types.root, at.file.replace(/\.d\.ts$/, ".mjs")), "utf8"), at.name);
  const seen = new Set<string>();
  for (const method of methods) {
    if (seen.has(method.name)) continue;
    seen.add(method.name);
    const name = `${namespace}.${method.name}`;
    const request = requests.get(method.name);
    if (request !== undefined) {
      into.http.push({ name, ...request, beta: namespace.startsWith("beta."), ...signature(method, at.file) });
    } else if (HELPER_MARKS[name] !== undefined) {
      into.helpers.push({ name, mark: HELPER_MARKS[name] });
    } else throw new Error(`${at.file}: no request was found in the code of ${name}`);
  }
  for (const field of fields) {
    const child = fieldClass(types, at, field.name);
    if (child !== null) addClass(types, child, `${namespace}.${field.name}`, into);
  }
}

function signature(method: Method, file: string): Pick<HttpMethod, "answer" | "params"> {
  const params = method.params.find(({ name }) => ["params", "query", "body"].includes(name))?.type;
  return { answer: answerOf(method, file), params: params === undefined ? null : { file, type: withoutNull(params) } };
}

function answerOf({ name, returns }: Method, file: string): Answer {
  if (returns.kind === "reference" && returns.args[0] !== undefined) {
    const [type] = returns.args;
    if (returns.path[0] === "PagePromise") return { kind: "json", type: { file, type } };
    if (returns.path[0] === "APIPromise") {
      if (type.kind === "reference" && type.path[0] === "Response") return { kind: "bytes" };
      if (type.kind === "reference" && type.path[0] === "Stream" && type.args[0] !== undefined)
        return { kind: "stream", type: { file, type: type.args[0] } };
      return { kind: "json", type: { file, type } };
    }
  }
  throw new Error(`${file}: what ${name} returns is not understood`);
}

function withoutNull(type: TypeNode): TypeNode {
  if (type.kind !== "union") return type;
  return type.of.find((part) => part.kind === "reference") ?? type;
}

/** Verb and path of each method of a class, from the SDK's code. */
function requestsOf(code: string, className: string): Map<string, { verb: HttpMethod["verb"]; path: string }> {
  const found = new Map<string, { verb: HttpMethod["verb"]; path: string }>();
  const start = code.indexOf(`class ${className} extends APIResource`);
  if (start < 0) throw new Error(`class ${className} was not found in its file`);
  const heads = [...code.slice(start).matchAll(/^ {4,8}(?:async )?(\w+)\([^)]*\) \{$/gm)];
  heads.forEach((head, at) => {
    const body = code.slice(start + head.index, start + (heads[at + 1]?.index ?? code.length));
    const call = /_client\.(getAPIList|get|post|delete|put|patch)\(\s*(?:path\s*)?[`'"]([^`'"]+)[`'"]/.exec(body);
    if (call === null) return;
    const [, verb = "", path = ""] = call;
    found.set(head[1] ?? "", {
      verb: (verb === "getAPIList" ? "GET" : verb.toUpperCase()) as HttpMethod["verb"],
      path: path.replace(/\?.*$/, "").replace(/\$\{(\w+)\}/g, (_, name: string) => `{${snakeCase(name)}}`),
    });
  });
  return found;
}

/** `sessionID` and `session_id` are one name. */
function snakeCase(name: string): string {
  return name.replace(/([a-z])([A-Z])/g, "$1_$2").toLowerCase();
}

/** Finds the method of a request; more exact paths win over those with a parameter at the same place. */
export function methodFinder(
  methods: readonly HttpMethod[],
): (verb: string, path: string, beta: boolean) => HttpMethod | null {
  const patterns = methods
    .map((method) => ({
      method,
      exact: method.path.split("/").filter((part) => !part.startsWith("{")).length,
      pattern: new RegExp(`^${method.path.replace(/\{\w+\}/g, "[^/]+")}/?$`),
    }))
    .sort((a, b) => b.exact - a.exact);
  return (verb, path, beta) => {
    const fitting = patterns.filter(({ method, pattern }) => method.verb === verb && pattern.test(path));
    return (fitting.find(({ method }) => method.beta === beta) ?? fitting[0])?.method ?? null;
  };
}
