/** The control routes for credentials. Values come in; only ids, verdicts and scrubbed answers go out. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { isId } from "../../contract/ids.ts";
import type { SealRequest } from "../../contract/vaults/broker_api.ts";
import { parsedBody } from "../read_body.ts";
import { sendJson } from "../refusal.ts";
import type { Credentials } from "./credentials.ts";

/** The largest credential of the contract, with escapes. */
const MAX_BODY_BYTES = 1024 * 1024;
/** A vault that is deleted purges its values in one call; a sweep sends a thousand ids at a time. */
const MAX_PURGED = 1_000;

const secretId = z.string().regex(/^[0-9a-f]{32}$/);
const ref = {
  // A repository's token belongs to a session and its resource.
  vault_id: z.string().refine((id) => isId("vault", id) || isId("session", id)),
  credential_id: z.string().refine((id) => isId("credential", id) || isId("session_resource", id)),
  secret_id: secretId,
};

const text = z.string().min(1);
const auth = z.discriminatedUnion("type", [
  z.looseObject({ type: z.literal("mcp_oauth"), mcp_server_url: text }),
  z.looseObject({ type: z.literal("static_bearer"), mcp_server_url: text }),
  z.looseObject({ type: z.literal("environment_variable"), secret_name: text }),
]);
const secrets = z.strictObject({
  access_token: text.optional(),
  refresh_token: text.optional(),
  client_secret: text.optional(),
  token: text.optional(),
  secret_value: text.optional(),
});

const seal = z.strictObject({ ...ref, from: secretId.nullable(), auth, secrets });
const validate = z.strictObject({ ...ref, issuer: z.string().min(1).max(4096) });
const purge = z.strictObject({ secret_ids: z.array(secretId).max(MAX_PURGED) });

/** Answers one authenticated request under `/control/credentials`; false when there is no such route. */
export async function answerCredentials(
  request: IncomingMessage,
  response: ServerResponse,
  credentials: Credentials,
): Promise<boolean> {
  const body = <S extends z.ZodType>(shape: S): Promise<z.output<S>> => parsedBody(request, MAX_BODY_BYTES, shape);
  switch (`${request.method ?? ""} ${request.url ?? ""}`) {
    case "PUT /control/credentials":
      await credentials.seal((await body(seal)) as SealRequest);
      response.writeHead(204).end();
      return true;
    case "GET /control/credentials":
      sendJson(response, 200, { data: await credentials.sealed() });
      return true;
    case "POST /control/credentials/purge":
      await credentials.purge((await body(purge)).secret_ids);
      response.writeHead(204).end();
      return true;
    case "POST /control/credentials/validate":
      sendJson(response, 200, await credentials.validate(await body(validate)));
      return true;
    default:
      return false;
  }
}
