/** What is sealed for one credential. */
import { z } from "zod";
import type { CredentialAuth, CredentialSecrets } from "../../contract/vaults/auth.ts";
import type { SecretRef } from "../../contract/vaults/broker_api.ts";
import { Refusal } from "../refusal.ts";
import type { SealedValue } from "../sealed/sealed_store.ts";

/** Where the tokens of a sign-in are from: what revoking them and asking for more scopes needs to know. */
export interface OAuthOrigin {
  /** Of the authorization server. */
  issuer: string;
  /** Null when the server has none. */
  revocation_endpoint: string | null;
  client_id: string;
  client_auth: "none" | "client_secret_basic" | "client_secret_post";
  /** That were asked for; null when none were named. */
  scopes: string[] | null;
}

/** The shown half is in it too, so that this process follows its own copy and nobody else's word. */
export interface Grant {
  auth: CredentialAuth;
  secrets: CredentialSecrets;
  /** Missing for a credential that was entered by hand. */
  origin?: OAuthOrigin;
}

const shape = z.object({
  auth: z.looseObject({ type: z.enum(["mcp_oauth", "static_bearer", "environment_variable"]) }),
  secrets: z.record(z.string(), z.string()),
  origin: z
    .object({
      issuer: z.string(),
      revocation_endpoint: z.string().nullable(),
      client_id: z.string(),
      client_auth: z.enum(["none", "client_secret_basic", "client_secret_post"]),
      scopes: z.array(z.string()).nullable(),
    })
    .optional(),
});

/**
 * What was sealed passed authentication, so another shape can only come from another version of this program.
 * @throws Refusal 400 `store_unreadable` then
 */
export function grantOf(text: string): Grant {
  const result = shape.safeParse(JSON.parse(text));
  if (result.success) return result.data as unknown as Grant;
  const message =
    "This credential was sealed by another version of Longhaul. Nothing was changed. Use that version, or archive it and create it again.";
  throw new Refusal(400, "invalid_request_error", message, "store_unreadable");
}

export const textOf = (grant: Grant): string => JSON.stringify(grant);

/** Without anything else that the object may hold. */
export function sealedRef({ vault_id, credential_id, secret_id }: SecretRef, issuer: string): SealedValue {
  return { vault_id, credential_id, secret_id, issuer };
}
