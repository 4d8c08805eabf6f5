/** One request to an MCP server with the session's credential: renewed once when refused, redirected within its origin. */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { CredentialSecrets } from "../../contract/vaults/auth.ts";
import type { CredentialRef, McpGrant } from "../../contract/vaults/grants.ts";
import type { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import type { Upstream } from "../relay/upstream.ts";
import type { McpMethod } from "./asked.ts";
import { serverHeaders } from "./headers.ts";

/** What the route needs of the credentials. Each rejects with {@link Refusal} when there is nothing to be had. */
export interface Bearers {
  open(ref: CredentialRef): Promise<{ secrets: CredentialSecrets }>;
  /** The token to be sent, fresh as far as is known. */
  bearer(ref: CredentialRef): Promise<{ token: string }>;
  /** After a 401: another token than the refused one; null when a person must sign in. */
  renewed(ref: CredentialRef, refusedToken: string): Promise<{ token: string } | null>;
}

export interface ServerCall {
  grant: McpGrant;
  method: McpMethod;
  /** The caller's. */
  headers: IncomingHttpHeaders;
  body: Buffer | null;
  repeatable: boolean;
  signal: AbortSignal;
  /** Learns the values of the credential before they are sent. */
  redactor: Redactor;
  /** Told before the credential leaves the broker. */
  onUse: () => void;
  /** Told of the header with which a server refuses. */
  onChallenge: (header: string) => void;
}

const REDIRECTS = 3;
/** Of a refusal's body, so that its connection can be used again. */
const DRAINED_BYTES = 64 * 1024;

/** Resolves with the server's answer, never a 401 nor a redirect. Rejects with {@link Refusal}. */
export async function callServer(call: ServerCall, upstream: Upstream, bearers: Bearers): Promise<IncomingMessage> {
  const ref = call.grant.credential;
  const token = ref === null ? null : await freshToken(ref, call.redactor, bearers);
  const first = await send(call, upstream, token);
  if (first.statusCode !== 401) return noted(first, call);
  refused(first, call);
  const renewed = ref === null || token === null ? null : await bearers.renewed(ref, token);
  if (ref === null || renewed === null) throw signInNeeded(call.grant);
  call.redactor.learn([renewed.token, ...valuesOf(await bearers.open(ref))]);
  const second = await send(call, upstream, renewed.token);
  if (second.statusCode !== 401) return noted(second, call);
  refused(second, call);
  throw signInNeeded(call.grant);
}

async function freshToken(ref: CredentialRef, redactor: Redactor, bearers: Bearers): Promise<string> {
  const { token } = await bearers.bearer(ref);
  // After it: what was refreshed just now is among the values.
  redactor.learn([token, ...valuesOf(await bearers.open(ref))]);
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  const text =
    "The token of this MCP server's credential holds spaces, line breaks or characters that no token has. Nothing was sent. Set it again.";
  throw new Refusal(400, "invalid_request_error", text, "endpoint_misconfigured");
}

const valuesOf = ({ secrets }: Awaited<ReturnType<Bearers["open"]>>): string[] => Object.values(secrets);

async function send(call: ServerCall, upstream: Upstream, token: string | null): Promise<IncomingMessage> {
  const origin = new URL(call.grant.url);
  let url = origin;
  for (let followed = 0; ; followed++) {
    // Reading a keychain takes long enough for a session to be archived meanwhile.
    call.signal.throwIfAborted();
    if (token !== null) call.onUse();
    const answer = await upstream.send({
      method: call.method,
      path: `${url.pathname}${url.search}`,
      headers: serverHeaders(call.headers, token, call.body?.length ?? null),
      body: call.body,
      signal: call.signal,
      repeatable: call.repeatable,
    });
    const status = answer.statusCode ?? 0;
    if (status < 300 || status >= 400 || status === 304) return answer;
    drain(answer);
    url = followed < REDIRECTS ? redirected(answer, url) : redirectRefused(url);
  }
}

/** Where a redirect leads, if it keeps method, body and origin. Throws {@link Refusal}. */
function redirected({ statusCode, headers }: IncomingMessage, from: URL): URL {
  const { location } = headers;
  if ((statusCode !== 307 && statusCode !== 308) || location === undefined || !URL.canParse(location, from)) {
    return redirectRefused(from);
  }
  const to = new URL(location, from);
  return to.origin === from.origin && to.username === "" && to.password === "" ? to : redirectRefused(from);
}

function redirectRefused(from: URL): never {
  const text = `The MCP server ${from.host} answered with a redirect. It was not followed, because that could hand the credential and the message to another address. Write the final address in the agent.`;
  throw new Refusal(502, "api_error", text, "endpoint_redirected");
}

/** A refusal's header says what a sign-in must ask for. */
function refused(answer: IncomingMessage, call: ServerCall): void {
  const challenge = answer.headers["www-authenticate"];
  if (challenge !== undefined) call.onChallenge(challenge);
  drain(answer);
}

/** A 403 for want of a scope passes, since only that call is refused, but a sign-in must know of the scope. */
function noted(answer: IncomingMessage, call: ServerCall): IncomingMessage {
  const challenge = answer.headers["www-authenticate"] ?? "";
  if (answer.statusCode === 403 && /\binsufficient_scope\b/i.test(challenge)) call.onChallenge(challenge);
  return answer;
}

function drain(answer: IncomingMessage): void {
  let left = DRAINED_BYTES;
  answer.on("data", (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) answer.destroy();
  });
  answer.on("error", () => undefined);
}

function signInNeeded({ url, credential }: McpGrant): Refusal {
  const { host } = new URL(url);
  const text =
    credential === null
      ? `The MCP server ${host} wants a credential, and the session's vaults have none for it. Sign in to it under Connections, or add a credential to a vault of the session.`
      : `The MCP server ${host} refused the session's credential. Sign in to it again under Connections; the session goes on with the new one.`;
  return new Refusal(401, "authentication_error", text, "sign_in_needed");
}
