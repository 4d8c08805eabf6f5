/** The control routes: for this launch's engine alone, which proves itself with the launch secret. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { isId } from "../contract/ids.ts";
import type { Capabilities } from "./capabilities.ts";
import type { Credentials } from "./credentials/credentials.ts";
import { answerCredentials } from "./credentials/routes.ts";
import type { EgressAuthority } from "./egress/intercept/authority/authority.ts";
import type { EgressRoute } from "./egress/route.ts";
import type { AuditLog, AuditPosition } from "./grants/audit.ts";
import type { Grants } from "./grants/grants.ts";
import type { McpRoute } from "./mcp/route.ts";
import { answerOAuth } from "./oauth/routes.ts";
import type { SignIns } from "./oauth/sign_ins.ts";
import type { Prints } from "./prints/prints.ts";
import { readJsonBody } from "./read_body.ts";
import { Refusal, sendJson } from "./refusal.ts";
import { answerSettings, type SettingsContext } from "./settings_routes.ts";
import type { StatusReport } from "./status.ts";

export interface ControlContext {
  capabilities: Capabilities;
  credentials: Credentials;
  signIns: SignIns;
  egress: EgressRoute;
  authority: EgressAuthority;
  grants: Grants;
  audit: AuditLog;
  prints: Prints;
  /** Aborts when the broker shuts down. */
  ending: AbortSignal;
  status: StatusReport;
  mcp: McpRoute;
  settings: SettingsContext;
  dropConnections: () => void;
}

const MAX_BODY_BYTES = 4 * 1024;
/** An environment may list a thousand hosts. */
const MAX_POLICY_BYTES = 512 * 1024;
const MAX_GRANTS_BYTES = 4 * 1024 * 1024;
/** How long a request for uses of credentials, or for prints, waits for something new. */
const WAIT_MS = 20_000;

/** Answers one request under `/control/`, whose caller has been authenticated. Rejects with {@link Refusal}. */
export async function answerControl(
  request: IncomingMessage,
  response: ServerResponse,
  context: ControlContext,
): Promise<void> {
  const route = `${request.method ?? ""} ${request.url ?? ""}`;
  if (route === "POST /control/capabilities") {
    const sessionId = sessionIdOf(await readJsonBody(request, MAX_BODY_BYTES));
    const token = context.capabilities.grant(sessionId);
    // A sandbox must not be able to print its session's token either.
    context.prints.learn([token]);
    return sendJson(response, 200, { token });
  }
  if (route === "POST /control/egress") {
    const body = await readJsonBody(request, MAX_POLICY_BYTES);
    context.egress.policies.set(sessionIdOf(body), (body as { policy?: unknown }).policy);
    return void response.writeHead(204).end();
  }
  if (route === "POST /control/grants") {
    const body = await readJsonBody(request, MAX_GRANTS_BYTES);
    context.grants.set(sessionIdOf(body), (body as { grants?: unknown }).grants);
    context.mcp.recheck(sessionIdOf(body));
    return void response.writeHead(204).end();
  }
  const asked = /^GET \/control\/(audit|prints)\?([\w.&=]{0,200})$/.exec(route);
  if (asked !== null) {
    const query = new URLSearchParams(asked[2]);
    const waitMs = query.get("wait") === "no" ? 0 : WAIT_MS;
    const signal = AbortSignal.any([gone(response), context.ending]);
    if (asked[1] === "prints") {
      return sendJson(response, 200, await context.prints.list(query.get("known") ?? "", waitMs, signal));
    }
    const [seen, written] = [positionOf(query.get("seen")), positionOf(query.get("written"))];
    return sendJson(response, 200, await context.audit.take(seen, written, waitMs, signal));
  }
  if (route === "GET /control/ca")
    return sendJson(response, 200, { certificate: await context.authority.certificate() });
  if (route === "GET /control/status") return sendJson(response, 200, await context.status.read());
  if (route === "POST /control/drop_connections") {
    context.dropConnections();
    return void response.writeHead(204).end();
  }
  if (await answerCredentials(request, response, context.credentials)) return;
  if (await answerOAuth(request, response, context)) return;
  if (await answerSettings(request, response, context.settings)) return;
  const revoked = /^DELETE \/control\/capabilities\/([^/?]+)$/.exec(route)?.[1];
  if (revoked !== undefined) {
    context.capabilities.revoke(revoked);
    context.egress.forget(revoked);
    context.grants.forget(revoked);
    context.mcp.forget(revoked);
    return void response.writeHead(204).end();
  }
  throw new Refusal(404, "not_found_error", `${route} is not a control route of the broker.`);
}

function gone(response: ServerResponse): AbortSignal {
  const left = new AbortController();
  response.on("close", () => left.abort());
  return left.signal;
}

/** `<start>.<number>`, as {@link AuditLog} takes it. */
function positionOf(text: string | null): AuditPosition {
  const [start = "", number = ""] = (text ?? "").split(".");
  return { start, number: Number(number) || 0 };
}

function sessionIdOf(body: unknown): string {
  const id = typeof body === "object" && body !== null && "session_id" in body ? body.session_id : undefined;
  if (typeof id !== "string" || !isId("session", id)) {
    throw new Refusal(400, "invalid_request_error", "session_id: must be the id of a session (sesn_…).");
  }
  return id;
}
