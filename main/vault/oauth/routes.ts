/** The control routes for sign-ins. Addresses and outcomes go out, never a code or a token. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { z } from "zod";
import { isId } from "../../contract/ids.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { parsedBody } from "../read_body.ts";
import { sendJson } from "../refusal.ts";
import { revoke } from "./revocation.ts";
import type { SignIns } from "./sign_ins.ts";

const MAX_BODY_BYTES = 256 * 1024;
/** The engine asks again; a connection that says nothing for longer looks dead on the way. */
const MAX_WAIT_MS = 25_000;

const hex = z.string().regex(/^[0-9a-f]{32}$/);
const webUrl = z
  .string()
  .max(2048)
  .regex(/^https?:\/\//i)
  .refine((url) => URL.canParse(url));
const scope = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/);
const credential = {
  vault_id: z.string().refine((id) => isId("vault", id)),
  credential_id: z.string().refine((id) => isId("credential", id)),
  secret_id: hex,
};

const begin = z.strictObject({
  ...credential,
  flow_id: hex,
  mcp_server_url: webUrl,
  scopes: z.array(scope).max(100).nullable(),
  client: z
    .strictObject({
      client_id: z.string().min(1).max(2048),
      client_secret: z.string().min(1).max(32_768).nullable(),
    })
    .nullable(),
});
const revoked = z.strictObject({ ...credential, issuer: z.string().min(1).max(4096) });

export interface OAuthContext {
  signIns: SignIns;
  credentials: Credentials;
}

/** Answers one authenticated request under `/control/oauth`; false when there is no such route. Rejects with Refusal. */
export async function answerOAuth(
  request: IncomingMessage,
  response: ServerResponse,
  { signIns, credentials }: OAuthContext,
): Promise<boolean> {
  const route = `${request.method ?? ""} ${request.url ?? ""}`;
  if (route === "POST /control/oauth") {
    sendJson(response, 200, await signIns.begin(await parsedBody(request, MAX_BODY_BYTES, begin)));
    return true;
  }
  if (route === "POST /control/oauth/revoke") {
    sendJson(response, 200, await revoke(await parsedBody(request, MAX_BODY_BYTES, revoked), credentials));
    return true;
  }
  const [, method, id = "", wait = "0"] =
    /^(GET|DELETE) \/control\/oauth\/([0-9a-f]{32})(?:\?wait_ms=(\d{1,6}))?$/.exec(route) ?? [];
  if (method === "GET") {
    const left = new AbortController();
    response.on("close", () => left.abort());
    sendJson(response, 200, await signIns.read(id, Math.min(Number(wait), MAX_WAIT_MS), left.signal));
    return true;
  }
  if (method === "DELETE") {
    signIns.cancel(id);
    response.writeHead(204).end();
    return true;
  }
  return false;
}
