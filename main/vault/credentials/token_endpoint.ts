/** The token endpoint of an authorization server: codes and refresh tokens become access tokens (RFC 6749, RFC 8707). */
import type { LookupFunction } from "node:net";
import type { BetaManagedAgentsRefreshObject } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { CredentialAuth, CredentialSecrets } from "../../contract/vaults/auth.ts";
import { Redactor } from "../redact.ts";
import { type Answer, exchange, isSuccess, shown } from "./exchange.ts";

export type RefreshConfig = NonNullable<Extract<CredentialAuth, { type: "mcp_oauth" }>["refresh"]>;

/** How a client proves itself at the endpoints of an authorization server. */
export interface ClientAuth {
  client_id: string;
  method: RefreshConfig["token_endpoint_auth"]["type"];
  /** Empty for the method `none`. */
  client_secret: string;
}

export interface FreshTokens {
  access_token: string;
  /** Missing when the server keeps the old one in force. */
  refresh_token?: string;
  /** ISO 8601; null when the server did not say. */
  expires_at: string | null;
  /** What was granted, as the server names it; null when it did not say. */
  scope: string | null;
}

export interface TokenResult {
  outcome: BetaManagedAgentsRefreshObject;
  /** Set exactly when the outcome is `succeeded`. */
  tokens: FreshTokens | null;
  /** The code of an OAuth error (RFC 6749 §5.2), when that was the answer: only then the server has judged the request. */
  error: string | null;
}

export interface FormRequest {
  url: string;
  form: URLSearchParams;
  client: ClientAuth;
  signal: AbortSignal;
  /** Where the endpoint's name may lead; the system's resolver by default. */
  lookup?: LookupFunction;
}

/** @param now milliseconds since the epoch */
export function refreshTokens(
  config: RefreshConfig,
  secrets: CredentialSecrets & { refresh_token: string },
  signal: AbortSignal,
  now: number,
): Promise<TokenResult> {
  const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: secrets.refresh_token });
  if (config.scope != null) form.set("scope", config.scope);
  if (config.resource != null) form.set("resource", config.resource);
  const client = clientOf(config, secrets);
  return requestTokens({ url: config.token_endpoint, form, client, signal }, Object.values(secrets), now);
}

export function clientOf({ client_id, token_endpoint_auth }: RefreshConfig, secrets: CredentialSecrets): ClientAuth {
  return { client_id, method: token_endpoint_auth.type, client_secret: secrets.client_secret ?? "" };
}

/** @param echoes values of the request: a server may repeat them, and what is shown of its answer must not */
export async function requestTokens(
  request: FormRequest,
  echoes: readonly string[],
  now: number,
): Promise<TokenResult> {
  const { answer, redactor } = await postForm(request, echoes);
  if (answer === null) return { outcome: { status: "connect_error", http_response: null }, tokens: null, error: null };
  const fields = fieldsOf(answer);
  const tokens = isSuccess(answer) ? tokensOf(fields, now) : null;
  if (tokens !== null) return { outcome: { status: "succeeded", http_response: null }, tokens, error: null };
  const { error } = fields;
  return {
    outcome: { status: "failed", http_response: shown(answer, redactor) },
    tokens: null,
    error: typeof error === "string" && /^[a-z_]{1,64}$/.test(error) ? error : null,
  };
}

/** Sends a form with the client's proof. `answer` is null when none came; `redactor` knows every value that was sent. */
export async function postForm(
  { url, form, client, signal, lookup }: FormRequest,
  echoes: readonly string[],
): Promise<{ answer: Answer | null; redactor: Redactor }> {
  const headers: Record<string, string> = {
    "content-type": "application/x-www-form-urlencoded",
    accept: "application/json",
  };
  const body = new URLSearchParams(form);
  const values = [...echoes, client.client_secret];
  if (client.method === "client_secret_basic") {
    const pair = `${formEncoded(client.client_id)}:${formEncoded(client.client_secret)}`;
    const basic = Buffer.from(pair).toString("base64");
    headers["authorization"] = `Basic ${basic}`;
    values.push(basic);
  } else {
    body.set("client_id", client.client_id);
    if (client.method === "client_secret_post") body.set("client_secret", client.client_secret);
  }
  const answer = await exchange({ method: "POST", url, headers, body: body.toString() }, signal, true, lookup);
  return { answer, redactor: new Redactor(values) };
}

/** RFC 6749 §2.3.1 wants both parts of Basic in the form's encoding. */
const formEncoded = (text: string): string => new URLSearchParams({ v: text }).toString().slice(2);

/** Kinds of token that a Bearer header does not carry. Other names are in use for tokens that it does. */
const OTHER_KINDS = /^(dpop|mac|pop|n_a)$/i;

/** Null when the body holds no usable access token, whatever its status says. */
function tokensOf(fields: Record<string, unknown>, now: number): FreshTokens | null {
  const { access_token, refresh_token, token_type, scope } = fields;
  if (typeof access_token !== "string" || !/^[\x21-\x7e]{1,32768}$/.test(access_token)) return null;
  if (typeof token_type === "string" && OTHER_KINDS.test(token_type)) return null;
  const seconds = Number(fields["expires_in"] ?? Number.NaN);
  const known = Number.isFinite(seconds) && seconds > 0 && seconds < 4_000_000_000;
  return {
    access_token,
    ...(typeof refresh_token === "string" && refresh_token !== "" ? { refresh_token } : {}),
    expires_at: known ? new Date(now + seconds * 1000).toISOString() : null,
    scope: typeof scope === "string" && scope.length <= 4096 ? scope : null,
  };
}

function fieldsOf({ body, headers }: Answer): Record<string, unknown> {
  // Some endpoints answer with a form whatever they are asked for.
  if (/x-www-form-urlencoded/i.test(headers["content-type"] ?? "")) {
    return Object.fromEntries(new URLSearchParams(body));
  }
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
