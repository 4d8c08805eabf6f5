/**
 * The route of MCP servers: a session's request over streamable HTTP, with the credential of its vault in place of its
 * capability. The session's grants say which servers there are and where; the caller says neither.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { McpGrant } from "../../contract/vaults/grants.ts";
import { normalisedServerUrl } from "../../contract/vaults/server_url.ts";
import { type Resolve, Resolver, systemResolve } from "../egress/resolver.ts";
import type { AuditLog } from "../grants/audit.ts";
import { type Grants, notGranted } from "../grants/grants.ts";
import type { BrokerLog } from "../log.ts";
import { Refusal, type RefusalCode } from "../refusal.ts";
import { readBody } from "../relay/request_body.ts";
import { relay } from "../relay/response.ts";
import { Pool, Upstream, type UpstreamTimeouts } from "../relay/upstream.ts";
import { checkedLookup, checkServerUrl, isExposed } from "./addresses.ts";
import { type Asked, askedOf, mayComeTwice, purposeOf } from "./asked.ts";
import { callerHeaders } from "./headers.ts";
import { type Mask, Masks, NO_MASK } from "./masks.ts";
import { type McpLimits, type Place, Places } from "./places.ts";
import { type Bearers, callServer } from "./server_call.ts";

export interface McpRouteContext {
  grants: Grants;
  bearers: Bearers;
  audit: AuditLog;
  /** Keeps what a server wants of a sign-in. */
  challenges: { note: (mcpServerUrl: string, header: string) => void };
  log: BrokerLog;
}

/** Set in code only, by tests; nothing that a session says reaches these. */
export interface McpOptions {
  resolve?: Resolve;
  target?: (address: string) => string;
  limits?: Partial<McpLimits>;
  /** Of answers to POST and DELETE. */
  timeouts?: Partial<UpstreamTimeouts>;
  /** Milliseconds of silence on an event stream that a GET opened. */
  streamIdleMs?: number;
  /** Of an answer that is no event stream, decoded. */
  maxAnswerBytes?: number;
}

const LIMITS: McpLimits = { perSession: 128, total: 1_024, heldBytes: 256 * 1024 * 1024 };
const MAX_REQUEST_BYTES = 16 * 1024 * 1024;
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;
/** An event stream passes through and fills nobody's memory. */
const MAX_STREAM_BYTES = 4 * 1024 * 1024 * 1024;
/** A tool may work for long without a word. */
const TIMEOUTS: UpstreamTimeouts = { connectMs: 15_000, headersMs: 1_800_000, idleMs: 1_800_000 };
/** A server that has nothing to tell says nothing; its client asks anew when the stream ends. */
const STREAM_IDLE_MS = 6 * 3_600_000;
const STREAM_LIFE_MS = 24 * 3_600_000;
/** Less than the five seconds after which common servers close a connection: a tool call must not meet a closed one. */
const FREE_MS = 4_000;

const WORDS = {
  name: "The MCP server",
  remedy: (local: boolean) =>
    `${local ? "Start it" : "Check the network"}, or correct the server's address in the agent.`,
  unanswered: "Whether it took effect is not known.",
};

/** A request under way. */
interface Open {
  sessionId: string;
  grant: McpGrant;
  stream: boolean;
  end: () => void;
}

export class McpRoute {
  readonly #context: McpRouteContext;
  readonly #resolver: Resolver;
  readonly #target: (address: string) => string;
  readonly #timeouts: UpstreamTimeouts;
  readonly #streamTimeouts: UpstreamTimeouts;
  readonly #maxAnswerBytes: number;
  readonly #places: Places;
  readonly #masks = new Masks();
  readonly #pool = new Pool(FREE_MS);
  readonly #open = new Set<Open>();

  constructor(context: McpRouteContext, options: McpOptions = {}) {
    this.#context = context;
    this.#resolver = new Resolver(options.resolve ?? systemResolve);
    this.#target = options.target ?? ((address) => address);
    this.#timeouts = { ...TIMEOUTS, ...options.timeouts };
    const streamIdleMs = options.streamIdleMs ?? STREAM_IDLE_MS;
    this.#streamTimeouts = { ...this.#timeouts, headersMs: streamIdleMs, idleMs: streamIdleMs };
    this.#maxAnswerBytes = options.maxAnswerBytes ?? MAX_ANSWER_BYTES;
    this.#places = new Places({ ...LIMITS, ...options.limits });
  }

  /** Answers one request under `/mcp/`. Rejects with {@link Refusal} before the response began. */
  async answer(request: IncomingMessage, response: ServerResponse, sessionId: string): Promise<void> {
    const asked = askedOf(request);
    const grant = this.#context.grants.mcpServer(sessionId, asked.serverId);
    const place = this.#places.take(sessionId);
    const mask = grant.credential === null ? NO_MASK : this.#masks.take(grant.credential.secret_id);
    const given = new AbortController();
    const open: Open = { sessionId, grant, stream: asked.method === "GET", end: () => given.abort() };
    this.#open.add(open);
    response.on("close", () => {
      // After a complete response the server's connection is back in the pool: an abort would throw it away.
      if (!response.writableFinished) given.abort();
    });
    const life = asked.method === "GET" ? setTimeout(open.end, STREAM_LIFE_MS) : undefined;
    try {
      await this.#pass(request, response, { asked, grant, sessionId, place, mask, signal: given.signal });
    } catch (error) {
      // Ended here and not by the caller: whoever waits for an answer must learn that none comes.
      if (given.signal.aborted) response.destroy();
      throw error;
    } finally {
      clearTimeout(life);
      this.#open.delete(open);
      mask.giveBack();
      place.giveBack();
    }
  }

  /** The session may use nothing any more; what it has open ends. */
  forget(sessionId: string): void {
    this.#end((open) => open.sessionId === sessionId);
  }

  /** Ends what the session has open and its grants, which have changed, no longer give it. */
  recheck(sessionId: string): void {
    this.#end((open) => open.sessionId === sessionId && !this.#isGranted(open));
  }

  /** After sleep: unused connections are closed, and event streams end, whose clients take them up again where they were. */
  dropConnections(): void {
    this.#pool.dropConnections();
    this.endStreams();
  }

  /** Event streams last for hours: they do not get the grace of a broker that is shutting down. */
  endStreams(): void {
    this.#end((open) => open.stream);
  }

  close(): void {
    this.#end(() => true);
    this.#pool.close();
  }

  #end(which: (open: Open) => boolean): void {
    for (const open of [...this.#open]) if (which(open)) open.end();
  }

  #isGranted({ sessionId, grant }: Open): boolean {
    try {
      const now = this.#context.grants.mcpServer(sessionId, grant.id);
      return now.url === grant.url && now.credential?.secret_id === grant.credential?.secret_id;
    } catch {
      return false;
    }
  }

  async #pass(request: IncomingMessage, response: ServerResponse, passing: Passing): Promise<void> {
    const { asked, grant, sessionId, mask, signal, place } = passing;
    const body = asked.method === "POST" ? await readBody(request, MAX_REQUEST_BYTES, place.hold) : null;
    const purpose = purposeOf(asked.method, body, request.headers["mcp-method"]);
    const url = new URL(grant.url);
    try {
      checkGrant(grant, url);
      const answer = await callServer(
        {
          grant,
          method: asked.method,
          headers: request.headers,
          body,
          repeatable: mayComeTwice(purpose),
          signal,
          redactor: mask.redactor,
          onUse: () => this.#note(passing, "allowed", purpose),
          onChallenge: (header) => this.#context.challenges.note(grant.url, header),
        },
        this.#upstream(url, sessionId, asked),
        this.#context.bearers,
      );
      const { redactor } = mask;
      const stream = /^text\/event-stream\b/i.test(answer.headers["content-type"] ?? "");
      await relay(answer, response, {
        host: url.host,
        redactor,
        maxBytes: stream ? MAX_STREAM_BYTES : this.#maxAnswerBytes,
        headers: (decoded) => callerHeaders(answer.headers, redactor, decoded),
        log: this.#context.log,
      });
    } catch (error) {
      if (error instanceof Refusal && !signal.aborted) this.#note(passing, "refused", `${purpose}: ${error.message}`);
      throw error instanceof Refusal ? asStatus(error) : error;
    }
  }

  #upstream(url: URL, sessionId: string, { method }: Asked): Upstream {
    const timeouts = method === "GET" ? this.#streamTimeouts : this.#timeouts;
    const lookup = checkedLookup(sessionId, this.#resolver, this.#target, timeouts.connectMs);
    return new Upstream(url, timeouts, { words: WORDS, pool: this.#pool, lookup });
  }

  #note({ sessionId, grant }: Passing, decision: "allowed" | "refused", reason: string): void {
    if (grant.credential === null) return;
    const { vault_id, credential_id } = grant.credential;
    const { host } = new URL(grant.url);
    this.#context.audit.note({ session_id: sessionId, vault_id, credential_id, route: "mcp", host, decision, reason });
  }
}

/** With these nothing is wrong with the request: it works again when a person has unlocked what is locked. */
const LOCKED: ReadonlySet<RefusalCode | undefined> = new Set([
  "keychain_locked",
  "keychain_missing",
  "passphrase_needed",
  "passphrase_wrong",
]);

/** A client of the transport acts on the status first: 401 means a sign-in, 503 that the same may work later. */
function asStatus(refusal: Refusal): Refusal {
  const { message, code } = refusal;
  if (code === "sign_in_needed") return new Refusal(401, "authentication_error", message, code);
  return LOCKED.has(code) ? new Refusal(503, "api_error", message, code) : refusal;
}

interface Passing {
  asked: Asked;
  grant: McpGrant;
  sessionId: string;
  place: Place;
  mask: Mask;
  signal: AbortSignal;
}

/** Throws {@link Refusal} when the grant's credential must not go to its address, or nothing can. */
function checkGrant({ url, credential }: McpGrant, parsed: URL): void {
  checkServerUrl(parsed);
  if (credential === null) return;
  // The sealed value is bound to its server; an address that was put beside it is not believed.
  const { issuer } = credential;
  if (!URL.canParse(issuer) || normalisedServerUrl(issuer) !== normalisedServerUrl(url)) {
    throw notGranted("The session's credential belongs to another MCP server than the one that it was granted for.");
  }
  if (isExposed(parsed)) {
    const text = `The address of the MCP server ${parsed.host} begins with http:, so that its credential would cross the network unencrypted. Nothing was sent. Write https: in the agent and the credential.`;
    throw new Refusal(400, "invalid_request_error", text, "endpoint_misconfigured");
  }
}
