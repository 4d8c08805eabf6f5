/**
 * Takes known secret values out of an event before it is hashed, stored and told to anybody. What the ledger itself and
 * readers need to make sense of an event is left alone, whatever values somebody has made their secrets.
 */
import type { SecretScanner } from "../../contract/secrets/scanner.ts";

/** Makes the JSON text of an event fit to be stored; the same text when nothing is in it. */
export type ScrubEvent = (text: string) => string;

/**
 * Written by the ledger and the harness from what a person set up: a credential's value that is also the name of a host
 * or a model must not break the session. Only the texts in it are masked.
 */
const SETTINGS = new Set(["longhaul.session_created", "longhaul.thread_created", "longhaul.resource_added"]);
const TEXTS = new Set(["system", "description", "instructions", "title", "metadata"]);

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };

/** @param scanner of the values that are known now */
export function eventScrubber(scanner: SecretScanner): ScrubEvent {
  return (text) => {
    if (scanner.scan(text).found.length === 0) return text;
    const event = JSON.parse(text) as { [key: string]: Json };
    const masker = new Masker(scanner);
    const settings = SETTINGS.has(String(event["type"]));
    const clean: { [key: string]: Json } = {};
    for (const [key, value] of Object.entries(event)) {
      const own = key === "type" || key === "id" || key === "processed_at";
      put(clean, key, own ? value : settings ? masker.settings(value) : masker.value(value, key === "input"));
    }
    return JSON.stringify(clean);
  };
}

/** {@link ScrubEvent} of an event that is no text yet; the same event when nothing is in it. */
export function scrubbed<E extends object>(event: E, scrub: ScrubEvent): E {
  const text = JSON.stringify(event);
  const clean = scrub(text);
  return clean === text ? event : (JSON.parse(clean) as E);
}

class Masker {
  readonly #scanner: SecretScanner;

  constructor(scanner: SecretScanner) {
    this.#scanner = scanner;
  }

  /** @param free true inside a tool's input, whose keys and structure are the model's own */
  value(value: Json, free: boolean): Json {
    if (typeof value === "string") return this.#scanner.mask(value);
    if (typeof value === "number") return this.#has(String(value)) ? 0 : value;
    if (typeof value !== "object" || value === null) return value;
    const clean = Array.isArray(value) ? value.map((item) => this.value(item, free)) : this.#object(value, free);
    // A secret that is a JSON document itself, said as an object: its pieces are none of them the secret.
    return free && this.#has(JSON.stringify(clean)) ? "[a secret value]" : clean;
  }

  #object(value: { [key: string]: Json }, free: boolean): { [key: string]: Json } {
    const clean: { [key: string]: Json } = {};
    for (const [key, item] of Object.entries(value)) {
      const name = free ? this.#scanner.mask(key) : key;
      put(clean, name, key === "type" && isTypeName(item) ? item : this.value(item, free || key === "input"));
    }
    return clean;
  }

  settings(value: Json): Json {
    if (Array.isArray(value)) return value.map((item) => this.settings(item));
    if (typeof value !== "object" || value === null) return value;
    const clean: { [key: string]: Json } = {};
    for (const [key, item] of Object.entries(value)) {
      put(clean, key, TEXTS.has(key) ? this.value(item, false) : this.settings(item));
    }
    return clean;
  }

  #has(text: string): boolean {
    return this.#scanner.scan(text).found.length > 0;
  }
}

/** `tool_use`, `text`, `agent_toolset_20260401`: words of the contract, which no generated secret looks like. */
function isTypeName(value: Json): boolean {
  return typeof value === "string" && value.length <= 40 && /^[a-z]+([._][a-z]+)*(_\d{8})?$/.test(value);
}

/** Not an assignment: a key named `__proto__`, which JSON allows, would set the prototype instead. */
function put(object: { [key: string]: Json }, key: string, value: Json): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
}
