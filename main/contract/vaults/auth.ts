/**
 * The two halves of a credential: what may be shown, and the secret values, which only the broker keeps. Pure, so that
 * what is recorded here and what is sealed there come from one place.
 */
import type { BetaManagedAgentsCredential } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import { invalid } from "../errors.ts";
import type { CredentialCreate, CredentialUpdate } from "./schemas.ts";

/** How a credential authenticates, as responses show it. */
export type CredentialAuth = BetaManagedAgentsCredential["auth"];

type OAuth = Extract<CredentialAuth, { type: "mcp_oauth" }>;
type EnvironmentVariable = Extract<CredentialAuth, { type: "environment_variable" }>;

/** The secret values of a credential, by the contract's names. */
export interface CredentialSecrets {
  access_token?: string;
  refresh_token?: string;
  client_secret?: string;
  token?: string;
  secret_value?: string;
}

export interface CredentialHalves {
  auth: CredentialAuth;
  secrets: CredentialSecrets;
}

/**
 * A new credential, taken apart.
 * @param now milliseconds since the epoch
 * @throws ApiError 400 for an expiry in the past, or an injection location with nothing enabled
 */
export function newCredentialAuth(params: CredentialCreate["auth"], now: number): CredentialHalves {
  switch (params.type) {
    case "static_bearer":
      return {
        auth: { type: "static_bearer", mcp_server_url: params.mcp_server_url },
        secrets: { token: params.token },
      };
    case "environment_variable":
      return {
        auth: {
          type: "environment_variable",
          secret_name: params.secret_name,
          networking: params.networking,
          injection_location: enabledLocation(
            params.injection_location === undefined ? { body: true, header: true } : params.injection_location,
          ),
        },
        secrets: { secret_value: params.secret_value },
      };
    case "mcp_oauth":
      return newOAuth(params, now);
  }
}

function newOAuth(params: Extract<CredentialCreate["auth"], { type: "mcp_oauth" }>, now: number): CredentialHalves {
  refusePastExpiry(params.expires_at, now);
  const { refresh } = params;
  const auth: OAuth = {
    type: "mcp_oauth",
    mcp_server_url: params.mcp_server_url,
    expires_at: params.expires_at ?? null,
    refresh:
      refresh == null
        ? null
        : {
            client_id: refresh.client_id,
            token_endpoint: refresh.token_endpoint,
            token_endpoint_auth: { type: refresh.token_endpoint_auth.type },
            resource: refresh.resource || null,
            scope: refresh.scope || null,
          },
  };
  const secrets: CredentialSecrets = { access_token: params.access_token };
  if (refresh != null) {
    secrets.refresh_token = refresh.refresh_token;
    if (refresh.token_endpoint_auth.type !== "none") secrets.client_secret = refresh.token_endpoint_auth.client_secret;
  }
  return { auth, secrets };
}

/**
 * What an update makes of a credential: the whole new shown half, and only those secret values that are new.
 * @throws ApiError 400 that names the field when the update does not fit the credential
 */
export function updatedCredentialAuth(
  before: CredentialAuth,
  params: NonNullable<CredentialUpdate["auth"]>,
  now: number,
): CredentialHalves {
  if (params.type === "static_bearer" && before.type === "static_bearer") {
    return { auth: before, secrets: present({ token: params.token }) };
  }
  if (params.type === "environment_variable" && before.type === "environment_variable") {
    const auth: EnvironmentVariable = {
      ...before,
      networking: params.networking ?? before.networking,
      injection_location: enabledLocation({ ...before.injection_location, ...params.injection_location }),
    };
    return { auth, secrets: present({ secret_value: params.secret_value }) };
  }
  if (params.type === "mcp_oauth" && before.type === "mcp_oauth") return updatedOAuth(before, params, now);
  return invalid(
    `\`auth.type\` must be ${JSON.stringify(before.type)}: the type of a credential cannot be changed. Archive this credential and create a new one.`,
  );
}

function updatedOAuth(
  before: OAuth,
  params: Extract<NonNullable<CredentialUpdate["auth"]>, { type: "mcp_oauth" }>,
  now: number,
): CredentialHalves {
  refusePastExpiry(params.expires_at, now);
  const auth: OAuth = { ...before, expires_at: params.expires_at ?? before.expires_at ?? null };
  const { refresh } = params;
  if (refresh == null) return { auth, secrets: present({ access_token: params.access_token }) };
  if (before.refresh == null) {
    return invalid(
      "`auth.refresh` cannot be added to a credential that was created without it. Archive this credential and create a new one.",
    );
  }
  const client_secret = refresh.token_endpoint_auth?.client_secret;
  if (refresh.token_endpoint_auth !== undefined && before.refresh.token_endpoint_auth.type === "none") {
    return invalid(
      "`auth.refresh.token_endpoint_auth` cannot be set: this credential's token endpoint takes no client secret. Archive this credential and create a new one.",
    );
  }
  // An empty scope clears it, a missing one keeps it.
  const scope = refresh.scope == null ? (before.refresh.scope ?? null) : refresh.scope || null;
  auth.refresh = { ...before.refresh, scope };
  return {
    auth,
    secrets: present({ access_token: params.access_token, refresh_token: refresh.refresh_token, client_secret }),
  };
}

/** True when these are all the secrets that such a credential has: nothing of a former value is needed then. */
export function isWhole({ auth, secrets }: CredentialHalves): boolean {
  if (auth.type === "static_bearer") return secrets.token !== undefined;
  if (auth.type === "environment_variable") return secrets.secret_value !== undefined;
  if (secrets.access_token === undefined) return false;
  if (auth.refresh == null) return true;
  const client = auth.refresh.token_endpoint_auth.type === "none" || secrets.client_secret !== undefined;
  return secrets.refresh_token !== undefined && client;
}

function refusePastExpiry(expiresAt: string | null | undefined, now: number): void {
  if (expiresAt == null || Date.parse(expiresAt) > now) return;
  invalid("`auth.expires_at` must be in the future.");
}

function enabledLocation(location: {
  body?: boolean | undefined;
  header?: boolean | undefined;
}): EnvironmentVariable["injection_location"] {
  const { body = false, header = false } = location;
  if (!body && !header)
    invalid("`auth.injection_location` must enable `header` or `body`: the value could go nowhere.");
  return { body, header };
}

/** Only the values that were given; null is the same as missing. */
function present(values: { [K in keyof CredentialSecrets]: string | null | undefined }): CredentialSecrets {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value != null)) as CredentialSecrets;
}
