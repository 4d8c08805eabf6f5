/** A `fetch` that notes every request of an SDK client and checks every response against the SDK's own types. */
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { type CheckOptions, faultsOf } from "./check.ts";
import { note, noteFaults, type ServerKind } from "./facts.ts";
import { type Answer, methodFinder, readMethods, type SdkMethods } from "./methods.ts";
import { SdkTypes } from "./sdk_types.ts";
import { tapFrames } from "./tap_frames.ts";

/** An error that says nothing of the method but that the server does not have it. */
export const NO_ENDPOINT = "no_endpoint";

/** An installed version of the SDK with everything that is read from it. */
export interface Sdk {
  version: string;
  types: SdkTypes;
  methods: SdkMethods;
  find: ReturnType<typeof methodFinder>;
  options: CheckOptions;
}

const loaded = new Map<string, Sdk>();

/** @param name package name; `older` as in {@link CheckOptions} */
export function sdkOf(name: "@anthropic-ai/sdk" | "anthropic-sdk-0"): Sdk {
  let sdk = loaded.get(name);
  if (sdk === undefined) {
    const require = createRequire(import.meta.url);
    const { VERSION: version } = require(`${name}/version`) as { VERSION: string };
    const types = new SdkTypes(dirname(require.resolve(`${name}/version`)));
    const methods = readMethods(types);
    const options = { older: name === "anthropic-sdk-0" };
    sdk = { version, types, methods, find: methodFinder(methods.http), options };
    loaded.set(name, sdk);
  }
  return sdk;
}

type Fetch = (url: string | URL | Request, init?: RequestInit) => Promise<Response>;

/** @param isBeta whether a request came from `client.beta`: on the wire the two cannot always be told apart */
export function recordingFetch(sdk: Sdk, server: ServerKind, isBeta: (url: URL, init: RequestInit) => boolean): Fetch {
  return async (target, init = {}) => {
    const response = await fetch(target, init);
    const url = new URL(target instanceof Request ? target.url : target);
    const method = sdk.find(init.method ?? "GET", url.pathname, isBeta(url, init));
    if (method === null) return response;
    const helpers = new Headers(init.headers).get("x-stainless-helper")?.split(/, */) ?? [];
    const where = `${method.name} (${sdk.version}): ${init.method ?? "GET"} ${url.pathname}${url.search} → ${response.status}`;
    const { faults, error, answer } = await examine(sdk, server, response, method.answer, where);
    noteFaults(where, faults);
    const { version } = sdk;
    note({
      kind: "call",
      sdk: version,
      server,
      method: method.name,
      helpers,
      status: response.status,
      error,
      faults: faults.length,
    });
    return answer;
  };
}

interface Examined {
  faults: string[];
  /** The error's type; null for a success. */
  error: string | null;
  /** What the client gets instead of the response, which may have been read. */
  answer: Response;
}

async function examine(
  sdk: Sdk,
  server: ServerKind,
  response: Response,
  answer: Answer,
  where: string,
): Promise<Examined> {
  const faults = /^req_/.test(response.headers.get("request-id") ?? "")
    ? []
    : ["header request-id: must be an id such as req_…"];
  if (!response.ok) {
    const body = await jsonOf(response.clone(), faults);
    faults.push(...envelopeFaults(body, response.headers));
    return { faults, error: errorType(body), answer: response };
  }
  if (answer.kind === "bytes") return { faults, error: null, answer: response };
  const shape = sdk.types.shapeOf(answer.type);
  if (answer.kind === "stream") {
    if (response.headers.get("content-type")?.startsWith("text/event-stream") !== true)
      faults.push("content-type: must be text/event-stream");
    const tapped = tapFrames(response, (name, data) => {
      const value = parsed(data);
      if (typeof value !== "object" || value === null) return noteFaults(where, [`frame ${name}: is no JSON object`]);
      const { type } = value as { type?: unknown };
      if (name === null) return noteFaults(where, ["frame: has no `event:` line, so the SDK drops it"]);
      if (name !== type && name !== "message")
        noteFaults(where, [`frame: is named ${name} but carries ${String(type)}`]);
      noteFaults(where, faultsOf(value, shape, "$", sdk.options));
      noteEvent(sdk, server, value);
    });
    return { faults, error: null, answer: tapped };
  }
  const body = response.status === 204 ? null : await jsonOf(response.clone(), faults);
  if (body !== undefined) faults.push(...faultsOf(body, shape, "$", sdk.options));
  if (isList(body)) for (const item of body.data) noteEvent(sdk, server, item);
  return { faults, error: null, answer: response };
}

/** Events are known by the id of their kind; previews have none. */
function noteEvent(sdk: Sdk, server: ServerKind, value: unknown): void {
  const { id, type } = (value ?? {}) as { id?: unknown; type?: unknown };
  if (typeof type !== "string") return;
  const isEvent = type.startsWith("event_") || (typeof id === "string" && id.startsWith("sevt_"));
  if (isEvent) note({ kind: "event", sdk: sdk.version, server, type });
}

function isList(body: unknown): body is { data: unknown[] } {
  return Array.isArray((body as { data?: unknown } | null)?.data);
}

async function jsonOf(response: Response, faults: string[]): Promise<unknown> {
  if (response.headers.get("content-type")?.startsWith("application/json") !== true) {
    faults.push(`content-type: must be application/json (it is ${response.headers.get("content-type")})`);
  }
  const text = await response.text();
  const value = parsed(text);
  if (value === undefined) faults.push(`body: is no JSON (${text.slice(0, 80)})`);
  return value;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The type of the error in `body`; {@link NO_ENDPOINT} when there is nothing at that path. */
function errorType(body: unknown): string {
  const { type, message } = (body as { error?: { type?: unknown; message?: unknown } } | null | undefined)?.error ?? {};
  if (typeof message === "string" && message.startsWith("There is no endpoint")) return NO_ENDPOINT;
  return typeof type === "string" ? type : "unknown";
}

const ERROR_TYPES: Record<string, true> = Object.fromEntries(
  [
    "invalid_request_error authentication_error billing_error permission_error not_found_error conflict_error",
    "request_too_large rate_limit_error api_error timeout_error overloaded_error precondition_failed_error",
    "memory_path_conflict_error memory_precondition_failed_error",
  ].flatMap((line) => line.split(" ").map((type) => [type, true] as const)),
);

/** Faults of an error's body: `{type: "error", error: {type, message, details?}, request_id}`. */
export function envelopeFaults(body: unknown, headers: Headers): string[] {
  const { type, error, request_id } = (body ?? {}) as { type?: unknown; error?: unknown; request_id?: unknown };
  const { type: kind, message, details } = (error ?? {}) as { type?: unknown; message?: unknown; details?: unknown };
  const faults: string[] = [];
  if (type !== "error") faults.push('$.type: must be "error"');
  if (typeof kind !== "string" || ERROR_TYPES[kind] !== true)
    faults.push(`$.error.type: ${String(kind)} is no error type`);
  if (typeof message !== "string" || message.length < 3) faults.push("$.error.message: must say what is wrong");
  if (request_id !== headers.get("request-id")) faults.push("$.request_id: must be that of the header");
  const code = (details as { error_code?: unknown } | undefined)?.error_code;
  if (details !== undefined && typeof code !== "string") faults.push("$.error.details.error_code: must be a text");
  return faults;
}
