/** Bodies of the requests under `/longhaul/v1/connections`. No message made from them repeats a value that was sent. */
import { z } from "zod";
import { environmentVariable, secret, serverUrl, staticBearer } from "./schemas.ts";

const scope = z
  .string()
  .max(255)
  .regex(
    /^[\x21\x23-\x5b\x5d-\x7e]+$/,
    'must be one scope such as "read:issues": visible ASCII without spaces or quotes',
  );

const scopes = z.array(scope).min(1).max(100);

/** A client that a person has registered at the authorization server. */
const client = z.strictObject({ client_id: z.string().min(1).max(2048), client_secret: secret.nullish() });

const place = { name: z.string().max(255).nullish(), vault_id: z.string().min(1).max(64).nullish() };

/** Without a `type` it begins to sign in. */
export const connectionCreate = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("mcp_oauth").optional(),
    mcp_server_url: serverUrl,
    scopes: scopes.nullish(),
    client: client.nullish(),
    ...place,
  }),
  staticBearer.extend(place),
  environmentVariable.extend(place),
]);

/** Signing in again; what is left out is as it was. */
export const connectionSignIn = z.strictObject({ scopes: scopes.nullish(), client: client.nullish() });
