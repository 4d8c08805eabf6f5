/** Stored credentials over the broker's control routes. Values pass through here once and are kept nowhere. */
import { ApiError, type ApiErrorType } from "../../contract/errors.ts";
import type { CredentialVault, SecretRef, ValidationOutcome } from "../../contract/vaults/broker_api.ts";
import type { OAuthFlow, OAuthRevocation } from "../../contract/vaults/oauth.ts";
import { type BrokerClient, readBody } from "../../harness/broker_client.ts";

/** Milliseconds: a locked keychain takes 8 s to be given up, a full disk may be slow; a validation has 30 s of its own. */
const CONTROL_MS = 20_000;
const VALIDATE_MS = 45_000;
/** Every id that a list can hold; the broker itself takes so many at a time to be removed. */
const MAX_LIST_BYTES = 64 * 1024 * 1024;
const MAX_PURGED = 1_000;

/** @param client shared with the model route */
export function brokerVault(client: BrokerClient): CredentialVault {
  const call = (method: string, path: string, body?: unknown, limitMs = CONTROL_MS): Promise<unknown> =>
    control(client, method, `/control/credentials${path}`, body, limitMs);
  return {
    seal: async (request) => void (await call("PUT", "", request)),
    sealed: async () => ((await call("GET", "")) as { data: SecretRef[] }).data,
    purge: async (secretIds) => {
      for (let at = 0; at < secretIds.length; at += MAX_PURGED) {
        await call("POST", "/purge", { secret_ids: secretIds.slice(at, at + MAX_PURGED) });
      }
    },
    validate: async (request) => (await call("POST", "/validate", request, VALIDATE_MS)) as ValidationOutcome,
    beginOAuth: async (request) => (await control(client, "POST", "/control/oauth", request, VALIDATE_MS)) as OAuthFlow,
    oauthFlow: async (id, waitMs) => {
      const path = `/control/oauth/${id}?wait_ms=${waitMs}`;
      return (await control(client, "GET", path, undefined, waitMs + CONTROL_MS)) as OAuthFlow;
    },
    cancelOAuth: async (id) => void (await control(client, "DELETE", `/control/oauth/${id}`, undefined, CONTROL_MS)),
    revoke: async (request) =>
      (await control(client, "POST", "/control/oauth/revoke", request, VALIDATE_MS)) as OAuthRevocation,
  };
}

/** An answer of a control route, parsed. Rejects with ApiError in the broker's own words, or that it is away. */
export async function control(
  client: BrokerClient,
  method: string,
  path: string,
  body: unknown,
  limitMs: number,
): Promise<unknown> {
  let status: number;
  let text: string;
  try {
    const headers = { authorization: `Bearer ${client.broker().launch_secret}` };
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const response = await client.roundTrip(method, path, headers, bytes, AbortSignal.timeout(limitMs));
    status = response.statusCode ?? 500;
    text = await readBody(response, MAX_LIST_BYTES);
  } catch {
    throw away();
  }
  if (status < 300) return text === "" ? null : JSON.parse(text);
  throw refusalOf(status, text);
}

/** The broker's own words: they name what a person can do, and never a value. */
function refusalOf(status: number, text: string): ApiError {
  // 401: it is another launch's.
  if (status === 401) return away();
  try {
    const { error } = JSON.parse(text) as {
      error: { type: ApiErrorType; message: string; details?: { error_code: string } };
    };
    // Whoever stores a credential is a person at the keychain, not a program that comes back later.
    if (error.details?.error_code === "keychain_locked") {
      return new ApiError("invalid_request_error", error.message, "keychain_locked");
    }
    // It is being shut down, and another one comes.
    if (status === 503) return away();
    return new ApiError(error.type, error.message, error.details?.error_code);
  } catch {
    return away();
  }
}

function away(): ApiError {
  const text =
    "The credential broker, which keeps the values of credentials, did not answer; it is being restarted. Try again in a moment.";
  return new ApiError("overloaded_error", text, "broker_away");
}
