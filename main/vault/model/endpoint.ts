/** Where model requests go, worked out from the boot message. */
import type { ModelEndpoint } from "../../contract/process.ts";

export const DEFAULT_BASE_URL = "https://api.anthropic.com";

export type EndpointSource = "environment" | "vault";

export type Endpoint =
  | {
      kind: "remote";
      source: EndpointSource;
      /** Host and port, for people. */
      host: string;
      origin: URL;
      /** Path in front of `/v1/...`, without a slash at its end. */
      prefix: string;
      /** Headers that carry the credential; empty for endpoints that want none. */
      credentials: Record<string, string>;
      /** True when a credential crosses a network without encryption. */
      exposed: boolean;
    }
  | { kind: "demo" }
  /** The configuration cannot be used; every request is refused with `message`. */
  | { kind: "unusable"; source: EndpointSource; host: string; message: string };

/** What a person knows the parts by, for texts. */
export const NAMES: Record<EndpointSource, { base_url: string; api_key: string; auth_token: string }> = {
  environment: {
    base_url: "ANTHROPIC_BASE_URL",
    api_key: "ANTHROPIC_API_KEY",
    auth_token: "ANTHROPIC_AUTH_TOKEN",
  },
  vault: {
    base_url: "the base URL of the model endpoint in the settings",
    api_key: "the API key of the model endpoint in the settings",
    auth_token: "the token of the model endpoint in the settings",
  },
};

/** Decides on the endpoint: the configured one, the default when there is only a key, the offline demo when there is neither. */
export function resolveEndpoint(model: ModelEndpoint, source: EndpointSource = "environment"): Endpoint {
  const names = NAMES[source];
  const unusable = (host: string, message: string): Endpoint => ({
    kind: "unusable",
    source,
    host,
    message: message.charAt(0).toUpperCase() + message.slice(1),
  });
  const baseUrl = present(model.base_url);
  const apiKey = present(model.api_key);
  const authToken = present(model.auth_token);
  if (baseUrl === null && apiKey === null && authToken === null) return { kind: "demo" };
  const url = baseUrl ?? DEFAULT_BASE_URL;
  if (!URL.canParse(url))
    return unusable(
      "invalid address",
      `${names.base_url} is not a URL. Write it like https://host or http://127.0.0.1:11434.`,
    );
  const origin = new URL(url);
  if (origin.protocol !== "https:" && origin.protocol !== "http:") {
    return unusable(
      origin.host,
      `${names.base_url} begins with ${origin.protocol}; only https: and http: can be used.`,
    );
  }
  if (origin.username !== "" || origin.password !== "") {
    return unusable(
      origin.host,
      `${names.base_url} holds a user name or password. Put the credential into ${names.auth_token}.`,
    );
  }
  if (origin.search !== "" || origin.hash !== "") {
    return unusable(origin.host, `${names.base_url} has a query or fragment. Leave out everything from ? or # on.`);
  }
  const credentials: Record<string, string> = {};
  for (const [name, value, header] of [
    [names.api_key, apiKey, "x-api-key"],
    [names.auth_token, authToken, "authorization"],
  ] as const) {
    if (value === null) continue;
    if (!/^[\x21-\x7e]+$/.test(value)) {
      return unusable(origin.host, `${name} holds spaces, line breaks or characters that no key has. Set it again.`);
    }
    credentials[header] = header === "authorization" ? `Bearer ${value}` : value;
  }
  const exposed = origin.protocol === "http:" && !isLoopback(origin.hostname) && Object.keys(credentials).length > 0;
  return {
    kind: "remote",
    source,
    host: origin.host,
    origin,
    prefix: origin.pathname.replace(/\/+$/, ""),
    credentials,
    exposed,
  };
}

/** The secret values of a boot message, for masking. */
export function secretsOf(model: ModelEndpoint): string[] {
  return [present(model.api_key), present(model.auth_token), passwordOf(model.base_url)].filter(
    (value) => value !== null,
  );
}

function passwordOf(baseUrl: string | undefined): string | null {
  if (baseUrl === undefined || !URL.canParse(baseUrl)) return null;
  return present(new URL(baseUrl).password);
}

/** An empty variable is a variable that is not set. */
function present(value: string | undefined): string | null {
  const trimmed = value?.trim() ?? "";
  return trimmed === "" ? null : trimmed;
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}
