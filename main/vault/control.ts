/** The control routes: for this launch's engine alone, which proves itself with the launch secret. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isId } from "../contract/ids.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Credentials } from "./credentials/credentials.ts";
import { answerCredentials } from "./credentials/routes.ts";
import type { EgressRoute } from "./egress/route.ts";
import { readJsonBody } from "./read_body.ts";
import { Refusal, sendJson } from "./refusal.ts";
import type { StatusReport } from "./status.ts";

export interface ControlContext {
  capabilities: Capabilities;
  credentials: Credentials;
  egress: EgressRoute;
  status: StatusReport;
  dropConnections: () => void;
}

const MAX_BODY_BYTES = 4 * 1024;
/** An environment may list a thousand hosts. */
const MAX_POLICY_BYTES = 512 * 1024;

/** Answers one request under `/control/`, whose caller has been authenticated. Rejects with {@link Refusal}. */
export async function answerControl(
  request: IncomingMessage,
  response: ServerResponse,
  context: ControlContext,
): Promise<void> {
  const route = `${request.method ?? ""} ${request.url ?? ""}`;
  if (route === "POST /control/capabilities") {
    const sessionId = sessionIdOf(await readJsonBody(request, MAX_BODY_BYTES));
    return sendJson(response, 200, { token: context.capabilities.grant(sessionId) });
  }
  if (route === "POST /control/egress") {
    const body = await readJsonBody(request, MAX_POLICY_BYTES);
    context.egress.policies.set(sessionIdOf(body), (body as { policy?: unknown }).policy);
    return void response.writeHead(204).end();
  }
  if (route === "GET /control/status") return sendJson(response, 200, await context.status.read());
  if (route === "POST /control/drop_connections") {
    context.dropConnections();
    return void response.writeHead(204).end();
  }
  if (await answerCredentials(request, response, context.credentials)) return;
  const revoked = /^DELETE \/control\/capabilities\/([^/?]+)$/.exec(route)?.[1];
  if (revoked !== undefined) {
    context.capabilities.revoke(revoked);
    context.egress.forget(revoked);
    return void response.writeHead(204).end();
  }
  throw new Refusal(404, "not_found_error", `${route} is not a control route of the broker.`);
}

function sessionIdOf(body: unknown): string {
  const id = typeof body === "object" && body !== null && "session_id" in body ? body.session_id : undefined;
  if (typeof id !== "string" || !isId("session", id)) {
    throw new Refusal(400, "invalid_request_error", "session_id: must be the id of a session (sesn_…).");
  }
  return id;
}
