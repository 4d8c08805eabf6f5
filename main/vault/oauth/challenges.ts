/**
 * What MCP servers last said about how to sign in (`WWW-Authenticate`, RFC 9728 and RFC 6750), by server. In memory: a
 * broker that was restarted asks the server's well-known addresses in its place.
 */
import { normalisedServerUrl } from "../../contract/vaults/server_url.ts";

/** The parameters of a Bearer challenge that a sign-in follows. Written by the server: nothing here is trusted. */
export interface Challenge {
  /** Where the server's protected-resource metadata is; null when it did not say. */
  resourceMetadata: string | null;
  /** Scopes that the refused request needed; null when it did not say. */
  scopes: string[] | null;
  /** For example `insufficient_scope`: the token is good, and allows too little. */
  error: string | null;
}

/** A header is longer only when it is not meant well. */
const MAX_CHARS = 8_192;
const MAX_SCOPES = 100;
/** Servers that are remembered; the one that spoke longest ago is forgotten first. */
const MAX_SERVERS = 1_000;

export class Challenges {
  readonly #last = new Map<string, Challenge>();

  /**
   * Remembers what a server answered with 401 or 403. A header without a Bearer challenge changes nothing.
   * @param mcpServerUrl as it was called, without anything that the route added
   * @param header `www-authenticate`; several are joined by ", "
   */
  note(mcpServerUrl: string, header: string | undefined): void {
    const challenge = header === undefined ? null : bearerChallenge(header);
    if (challenge === null) return;
    const key = normalisedServerUrl(mcpServerUrl);
    this.#last.delete(key);
    this.#last.set(key, challenge);
    const [oldest] = this.#last.keys();
    if (this.#last.size > MAX_SERVERS && oldest !== undefined) this.#last.delete(oldest);
  }

  /** Null when the server has not been heard since the start. */
  last(mcpServerUrl: string): Challenge | null {
    return this.#last.get(normalisedServerUrl(mcpServerUrl)) ?? null;
  }

  /** Someone signed in: an answer to the former token says nothing about the new one. */
  answered(mcpServerUrl: string): void {
    this.#last.delete(normalisedServerUrl(mcpServerUrl));
  }
}

/** A token of RFC 9110, then `=` and a value: a parameter. A token without that begins another scheme's challenge. */
const PART = /([!#$%&'*+.^_`|~\w-]+)(?:\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+)))?/y;

/** The first Bearer challenge of a header; null when there is none. Broken parts end the reading, what was read counts. */
export function bearerChallenge(header: string): Challenge | null {
  const text = header.slice(0, MAX_CHARS);
  let parameters: Map<string, string> | null = null;
  for (let at = 0; at < text.length; ) {
    if (/[\s,]/.test(text[at] ?? "")) {
      at += 1;
      continue;
    }
    PART.lastIndex = at;
    const part = PART.exec(text);
    if (part === null) break;
    at = PART.lastIndex;
    const [, name = "", quoted, plain] = part;
    const value = quoted?.replace(/\\(.)/g, "$1") ?? plain;
    if (value === undefined) {
      if (parameters !== null) break;
      if (name.toLowerCase() === "bearer") parameters = new Map();
    } else if (parameters !== null && !parameters.has(name.toLowerCase())) parameters.set(name.toLowerCase(), value);
  }
  if (parameters === null) return null;
  const scopes = scopesOf(parameters.get("scope") ?? "");
  return {
    resourceMetadata: parameters.get("resource_metadata") ?? null,
    scopes: scopes.length === 0 ? null : scopes,
    error: parameters.get("error") ?? null,
  };
}

/** Scopes of a list as OAuth writes it, each once; what is no scope token (RFC 6749 §3.3) is left out. */
export function scopesOf(text: string): string[] {
  const all = text.split(/\s+/).filter((scope) => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(scope));
  return [...new Set(all)].slice(0, MAX_SCOPES);
}
