/** Takes tokens back at the authorization server that gave them (RFC 7009), as far as it does that. */
import type { CredentialRef } from "../../contract/vaults/grants.ts";
import type { OAuthRevocation } from "../../contract/vaults/oauth.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { isSuccess } from "../credentials/exchange.ts";
import { postForm } from "../credentials/token_endpoint.ts";
import { Refusal } from "../refusal.ts";
import { Reach, type ResolveName } from "./discovery/reach.ts";

const REVOKE_MS = 25_000;

/** Best effort, and truthful about it. Rejects with Refusal only when the credential cannot be opened. */
export async function revoke(
  ref: CredentialRef,
  credentials: Credentials,
  resolve?: ResolveName,
): Promise<OAuthRevocation> {
  const { auth, secrets, origin } = await credentials.open(ref);
  if (auth.type !== "mcp_oauth") return unsupported("This credential is no sign-in: whoever gave it can take it back.");
  if (origin === undefined || origin.revocation_endpoint === null) {
    return unsupported(
      "The server offers no way to take tokens back. Removing the connection here removes them from this machine; end the access in your account at the server, too.",
    );
  }
  const url = origin.revocation_endpoint;
  const { host } = new URL(url);
  const failed: OAuthRevocation = {
    state: "failed",
    message: `${host} did not take the tokens back. They may work there until they expire. Try again, or end the access in your account there.`,
  };
  const reach = await Reach.of(auth.mcp_server_url, resolve);
  try {
    reach.check(url, "The revocation endpoint");
  } catch (error) {
    if (error instanceof Refusal) return failed;
    throw error;
  }
  const { client_secret = "" } = secrets;
  const client = { client_id: origin.client_id, method: origin.client_auth, client_secret };
  const signal = AbortSignal.timeout(REVOKE_MS);
  const take = async (token: string | undefined, token_type_hint: string): Promise<boolean | null> => {
    if (token === undefined) return null;
    const form = new URLSearchParams({ token, token_type_hint });
    const { answer } = await postForm({ url, form, client, signal, lookup: reach.lookup }, Object.values(secrets));
    return answer !== null && isSuccess(answer);
  };
  // The refresh token first: it is what gives access for long.
  const refresh = await take(secrets.refresh_token, "refresh_token");
  const access = await take(secrets.access_token, "access_token");
  if (refresh === false || (refresh === null && access !== true)) return failed;
  const message =
    access === false
      ? `${host} took the refresh token back; the last access token may work until it expires.`
      : `${host} took the tokens back.`;
  return { state: "revoked", message };
}

const unsupported = (message: string): OAuthRevocation => ({ state: "unsupported", message });
