/** The refresh grant of OAuth (RFC 6749 §6, with the resource of RFC 8707). */
import type { BetaManagedAgentsRefreshObject } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { CredentialAuth, CredentialSecrets } from "../../contract/vaults/auth.ts";
import { Redactor } from "../redact.ts";
import { type Answer, exchange, isSuccess, shown } from "./exchange.ts";

export type RefreshConfig = NonNullable<Extract<CredentialAuth, { type: "mcp_oauth" }>["refresh"]>;

export interface FreshTokens {
  access_token: string;
  /** Missing when the server keeps the old one in force. */
  refresh_token?: string;
  /** ISO 8601; null when the server did not say. */
  expires_at: string | null;
}

export interface RefreshResult {
  outcome: BetaManagedAgentsRefreshObject;
  /** Set exactly when the outcome is `succeeded`. */
  tokens: FreshTokens | null;
}

/** @param now milliseconds since the epoch */
export async function refreshTokens(
  config: RefreshConfig,
  secrets: CredentialSecrets & { refresh_token: string },
  signal: AbortSignal,
  now: number,
): Promise<RefreshResult> {
  const form = new URLSearchParams({ grant_type: "refresh_token", refresh_token: secrets.refresh_token });
  const headers: Record<string, string> = {
    "content-type": "application/x-www-form-urlencoded",
    accept: "application/json",
  };
  const echoes = Object.values(secrets);
  const { client_secret = "" } = secrets;
  if (config.token_endpoint_auth.type === "client_secret_basic") {
    const pair = `${formEncoded(config.client_id)}:${formEncoded(client_secret)}`;
    const basic = Buffer.from(pair).toString("base64");
    headers["authorization"] = `Basic ${basic}`;
    echoes.push(basic);
  } else {
    form.set("client_id", config.client_id);
    if (config.token_endpoint_auth.type === "client_secret_post") form.set("client_secret", client_secret);
  }
  if (config.scope != null) form.set("scope", config.scope);
  if (config.resource != null) form.set("resource", config.resource);
  const request = { method: "POST" as const, url: config.token_endpoint, headers, body: form.toString() };
  const answer = await exchange(request, signal, true);
  if (answer === null) return { outcome: { status: "connect_error", http_response: null }, tokens: null };
  const tokens = isSuccess(answer) ? tokensOf(answer, now) : null;
  if (tokens !== null) return { outcome: { status: "succeeded", http_response: null }, tokens };
  return { outcome: { status: "failed", http_response: shown(answer, new Redactor(echoes)) }, tokens: null };
}

/** RFC 6749 §2.3.1 wants both parts of Basic in the form's encoding. */
const formEncoded = (text: string): string => new URLSearchParams({ v: text }).toString().slice(2);

/** Null when the body holds no usable access token, whatever its status says. */
function tokensOf(answer: Answer, now: number): FreshTokens | null {
  const fields = fieldsOf(answer);
  const access_token = fields["access_token"];
  if (typeof access_token !== "string" || !/^[\x21-\x7e]{1,32768}$/.test(access_token)) return null;
  const refresh_token = fields["refresh_token"];
  const seconds = Number(fields["expires_in"] ?? Number.NaN);
  const known = Number.isFinite(seconds) && seconds > 0 && seconds < 4_000_000_000;
  return {
    access_token,
    ...(typeof refresh_token === "string" && refresh_token !== "" ? { refresh_token } : {}),
    expires_at: known ? new Date(now + seconds * 1000).toISOString() : null,
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
