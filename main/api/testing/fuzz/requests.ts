/** Odd requests for every method of the contract and every route of the local API. */

import type { HttpMethod } from "../contract/methods.ts";
import type { Sdk } from "../contract/recorder.ts";
import type { Shape } from "../contract/sdk_types.ts";
import { HOSTILE_BODIES, HOSTILE_IDS, HOSTILE_TYPES, HOSTILE_VALUES, mutated } from "./hostile.ts";
import type { Random } from "./random.ts";
import { type Known, Samples } from "./samples.ts";

export interface OddRequest {
  /** Whose request it is; null for one of the local API. */
  method: HttpMethod | null;
  verb: string;
  /** Path and query as they are sent. */
  target: string;
  headers: Record<string, string>;
  body: string | null;
}

/** A route of our own, with a body that it takes. */
export interface LocalRoute {
  verb: string;
  path: string;
  body?: unknown;
}

interface Parts {
  path: string;
  query: string;
  type: string;
  body: string | null;
}

const BOUNDARY = "fuzz-boundary";

export class OddRequests {
  readonly #random: Random;
  readonly #sdk: Sdk;
  readonly #local: readonly LocalRoute[];
  readonly #known: Record<string, string> = {};
  readonly #samples: Samples;
  /** Methods that the server does not have: asked for once in a while only. */
  readonly #missing = new Set<string>();

  constructor(random: Random, sdk: Sdk, local: readonly LocalRoute[]) {
    this.#random = random;
    this.#sdk = sdk;
    this.#local = local;
    this.#samples = new Samples(random, this.#known);
  }

  next(): OddRequest {
    if (this.#random.chance(0.15)) return this.#localRequest(this.#random.pick(this.#local));
    let method = this.#random.pick(this.#sdk.methods.http);
    while (this.#missing.has(method.name) && this.#random.chance(0.9))
      method = this.#random.pick(this.#sdk.methods.http);
    const parts = this.#parts(method);
    this.#spoil(parts);
    const verb = this.#random.chance(0.02)
      ? this.#random.pick(["PUT", "PATCH", "POST", "DELETE", "OPTIONS"])
      : method.verb;
    return this.#request(verb === method.verb ? method : null, verb, parts);
  }

  /** These exist from now on. */
  know(known: Known): void {
    Object.assign(this.#known, known);
  }

  /** Takes note of what a request made, so that later ones address it, and of methods that are not there. */
  learn({ method }: OddRequest, answer: unknown): void {
    const { id, error } = (answer ?? {}) as { id?: unknown; error?: { message?: string } };
    if (method !== null && error?.message?.startsWith("There is no endpoint") === true) this.#missing.add(method.name);
    if (method?.verb !== "POST" || typeof id !== "string") return;
    const below = this.#sdk.methods.http.find(({ path }) => path.startsWith(`${method.path}/{`));
    const param = below?.path.slice(method.path.length + 2).split("}")[0];
    if (param !== undefined) this.#known[param] = id;
    if (param === "agent_id") this.#known["agent"] = id;
  }

  #parts(method: HttpMethod): Parts {
    const path = method.path.replace(/\{(\w+)\}/g, (_, name: string) => this.#pathId(name));
    const shape = method.params === null ? null : this.#sdk.types.shapeOf(method.params);
    const value = shape === null ? {} : (this.#samples.of(shape) as Record<string, unknown>);
    for (const [name] of method.path.matchAll(/(?<=\{)\w+(?=\})/g)) delete value[name];
    const spoiled = this.#random.chance(0.5) ? mutated(this.#random, value) : value;
    if (method.verb !== "POST") return { path, query: this.#query(spoiled), type: "", body: null };
    if (/^\/v1\/(files|skills)/.test(method.path)) {
      return { path, query: "", type: `multipart/form-data; boundary=${BOUNDARY}`, body: this.#form(spoiled, shape) };
    }
    const body = shape === null ? null : (JSON.stringify(spoiled) ?? "");
    // Where the heartbeat's parameters go does not matter here: it takes both.
    const query = this.#random.chance(0.1) ? this.#query(value) : "";
    return { path, query, type: "application/json", body };
  }

  #pathId(name: string): string {
    if (this.#random.chance(0.1)) return this.#random.pick(HOSTILE_IDS);
    return this.#known[name] ?? "none";
  }

  #query(value: unknown): string {
    const pairs = Object.entries(typeof value === "object" && value !== null ? value : { value });
    const parts = pairs.flatMap(([name, given]) =>
      Array.isArray(given) ? given.map((item) => pair(`${name}[]`, item)) : [pair(name, given)],
    );
    if (this.#random.chance(0.1))
      parts.push(
        `${this.#random.pick(["limit", "page", "order", "x"])}=${this.#random.pick(["%zz", "%00", "-1", "1e9", ""])}`,
      );
    return parts.length === 0 ? "" : `?${parts.join("&")}`;
  }

  #form(value: unknown, shape: Shape | null): string {
    const random = this.#random;
    const fields = Object.entries(typeof value === "object" && value !== null ? value : {});
    const files = shape?.kind === "object" && shape.members.has("files");
    const parts = fields.map(
      ([name, given]) =>
        `content-disposition: form-data; name="${header(name)}"\r\n\r\n${String(JSON.stringify(given))}`,
    );
    const filename = random.pick([
      "a/SKILL.md",
      "a.txt",
      "",
      "../../x",
      "a\0b",
      'q"uote',
      "x".repeat(5000),
      "..",
      "ä/ü",
    ]);
    const content = random.pick(["---\nname: fuzz\ndescription: d\n---\n", "x", "", "PK\x03\x04", "\0\x01\xff"]);
    parts.push(
      `content-disposition: form-data; name="${files ? "files[]" : "file"}"; filename="${filename}"\r\n\r\n${content}`,
    );
    if (random.chance(0.2))
      parts.push(
        random.pick(["", "x", "content-disposition: form-data", `content-disposition: ${"y".repeat(20_000)}\r\n\r\n`]),
      );
    const text = parts.map((part) => `--${BOUNDARY}\r\n${part}\r\n`).join("");
    return random.chance(0.2) ? text.slice(0, random.below(text.length)) : `${text}--${BOUNDARY}--\r\n`;
  }

  #spoil(parts: Parts): void {
    const random = this.#random;
    const roll = random.next();
    if (roll < 0.06) parts.body = random.pick(HOSTILE_BODIES);
    else if (roll < 0.1) parts.type = random.pick(HOSTILE_TYPES);
    else if (roll < 0.12)
      parts.path = random.pick([
        `${parts.path}/`,
        `/${parts.path}`,
        `${parts.path}/%2e%2e`,
        `${parts.path}%00`,
        `${parts.path}/extra`,
      ]);
    else if (roll < 0.14 && parts.body !== null) parts.body = parts.body.slice(0, random.below(parts.body.length));
  }

  #localRequest({ verb, path, body }: LocalRoute): OddRequest {
    const random = this.#random;
    const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => this.#pathId(name));
    const value = random.chance(0.6) ? mutated(random, body ?? {}) : body;
    const query = random.chance(0.4)
      ? `?${pair(random.pick(["after", "limit", "q", "version", "from", "statuses[]"]), random.pick(HOSTILE_VALUES))}`
      : "";
    const parts = {
      path: filled,
      query,
      type: "application/json",
      body: body === undefined ? null : (JSON.stringify(value) ?? ""),
    };
    this.#spoil(parts);
    return this.#request(null, verb, parts);
  }

  #request(method: HttpMethod | null, verb: string, { path, query, type, body }: Parts): OddRequest {
    const headers: Record<string, string> = {};
    if (body !== null) headers["content-type"] = type;
    return { method, verb, target: path + query, headers, body };
  }
}

function pair(name: string, value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return `${encodeURIComponent(name)}=${encodeURIComponent(text.slice(0, 2000).toWellFormed())}`;
}

function header(name: string): string {
  return name.replace(/["\r\n]/g, "_");
}
