/**
 * The egress route: CONNECT for sandboxes with a limited network, or with variables that stand for credentials. The
 * session's capability token says who asks, the registered policy what it may reach; everything else is refused with a
 * reason and logged without any content.
 */
import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Capabilities } from "../capabilities.ts";
import type { BrokerLog } from "../log.ts";
import { isFromBrowser, malformed } from "../relay/admission.ts";
import { dial } from "./dial.ts";
import { Interceptor, type InterceptorParts } from "./intercept/interceptor.ts";
import { type Destination, EgressPolicies } from "./policies.ts";
import { EgressRefusal } from "./refusal.ts";
import { type Resolve, Resolver, systemResolve } from "./resolver.ts";
import { joinTunnel } from "./tunnel.ts";

export interface EgressLimits {
  /** Open connections, those being made included. */
  perSession: number;
  total: number;
  connectMs: number;
  /** Milliseconds without a byte in either direction after which a connection is ended. */
  idleMs: number;
  /** The same once one side has said its last. */
  halfOpenMs: number;
}

/** Set in code only, by tests; nothing that a sandbox or an environment says reaches these. */
export interface EgressOptions {
  resolve?: Resolve;
  target?: (address: string, port: number) => { host: string; port: number };
  /** PEM of who vouches for intercepted hosts. */
  roots?: string[];
  limits?: Partial<EgressLimits>;
}

const LIMITS: EgressLimits = {
  perSession: 128,
  total: 1_024,
  connectMs: 20_000,
  idleMs: 600_000,
  halfOpenMs: 60_000,
};

const MAX_EARLY_BYTES = 64 * 1024;
/** A sandbox can ask thousands of times a second, and the log's file has no bound of its own. */
const LINES_PER_MINUTE = 120;

export class EgressRoute {
  readonly policies = new EgressPolicies();
  readonly #capabilities: Capabilities;
  readonly #log: BrokerLog;
  readonly #resolver: Resolver;
  readonly #target: NonNullable<EgressOptions["target"]>;
  readonly #limits: EgressLimits;
  readonly #interceptor: Interceptor;
  /** Ends each open connection, by session. */
  readonly #open = new Map<string, Set<() => void>>();
  /** Lines of the log in the current minute, by session. */
  readonly #lines = new Map<string | null, { since: number; count: number }>();
  #total = 0;
  #closed = false;

  constructor(
    capabilities: Capabilities,
    log: BrokerLog,
    parts: Pick<InterceptorParts, "variables" | "authority" | "audit">,
    options: EgressOptions = {},
  ) {
    this.#capabilities = capabilities;
    this.#log = log;
    this.#resolver = new Resolver(options.resolve ?? systemResolve);
    this.#target = options.target ?? ((host, port) => ({ host, port }));
    this.#limits = { ...LIMITS, ...options.limits };
    const { connectMs, idleMs } = this.#limits;
    const onFault = (error: unknown) => log.error({ err: error }, "an intercepted request failed inside the broker");
    this.#interceptor = new Interceptor({ ...parts, roots: options.roots, connectMs, idleMs, onFault });
  }

  /** The session may reach nothing any more; what it has open ends. */
  forget(sessionId: string): void {
    this.policies.forget(sessionId);
    this.#lines.delete(sessionId);
    for (const end of [...(this.#open.get(sessionId) ?? [])]) end();
  }

  /** Ends every connection and refuses new ones. */
  close(): void {
    this.#closed = true;
    for (const connections of [...this.#open.values()]) for (const end of [...connections]) end();
  }

  /** Answers one CONNECT request; never rejects. */
  async answer(request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> {
    // Until the tunnel stands nobody else listens, and an unheard error would end the broker.
    client.on("error", () => client.destroy());
    let sessionId: string | null = null;
    try {
      if (this.#closed) throw new EgressRefusal("draining", "The broker is shutting down.");
      checkForm(request);
      sessionId = this.#sessionOf(request);
      await this.#connect(sessionId, request.url ?? "", client, head);
    } catch (error) {
      const refusal = error instanceof EgressRefusal ? error : new EgressRefusal("unreachable", "The broker failed.");
      if (refusal !== error) this.#log.error({ err: error }, "the egress route failed");
      this.#say(sessionId, { decision: "refused", code: refusal.code }, refusal.message);
      client.end(refusal.response());
      client.resume();
      // A caller that never reads nor closes must not keep the socket.
      setTimeout(() => client.destroy(), 1_000).unref();
    }
  }

  #say(sessionId: string | null, fields: Record<string, unknown>, text: string): void {
    const now = Date.now();
    const last = this.#lines.get(sessionId);
    const lines = last !== undefined && now - last.since < 60_000 ? last : { since: now, count: 0 };
    const unsaid = lines === last ? 0 : (last?.count ?? 0) - LINES_PER_MINUTE;
    if (unsaid > 0) this.#log.info({ session_id: sessionId, count: unsaid }, "further decisions were not logged");
    lines.count += 1;
    this.#lines.set(sessionId, lines);
    if (lines.count <= LINES_PER_MINUTE) this.#log.info({ session_id: sessionId, ...fields }, text);
  }

  #sessionOf(request: IncomingMessage): string {
    const token = /^Bearer (\S{1,256})$/i.exec(request.headers["proxy-authorization"] ?? "")?.[1] ?? null;
    const sessionId = this.#capabilities.sessionOf(token);
    if (sessionId !== null && !isFromBrowser(request)) return sessionId;
    throw new EgressRefusal(
      "capability",
      "This needs the capability token of a session; it is unknown or was revoked.",
    );
  }

  async #connect(sessionId: string, authority: string, client: Duplex, head: Buffer): Promise<void> {
    const destination = this.policies.decide(sessionId, authority);
    const { host, port, rule } = destination;
    const intercepts = destination.intercept && this.#interceptor.concerns(sessionId, destination);
    const given = new AbortController();
    const release = this.#take(sessionId, () => {
      given.abort();
      client.destroy();
    });
    const early = keepEarly(client, head, () => given.abort());
    try {
      const context = intercepts ? await this.#interceptor.contextFor(sessionId, host) : null;
      const again = () => this.#dial(sessionId, destination, given.signal);
      const upstream = await again();
      if (given.signal.aborted) {
        upstream.destroy();
        client.destroy();
        return release();
      }
      const text = intercepts ? "a sandbox connects; its requests get values" : "a sandbox connects";
      this.#say(sessionId, { decision: "allowed", host, port, rule }, text);
      client.write(`HTTP/1.1 200 Connection established\r\nlonghaul-rule: ${rule}\r\n\r\n`);
      const chunks = early.take();
      if (context !== null) {
        const first = upstream;
        const onEnd = release;
        this.#interceptor.begin({ sessionId, host, context, client, early: chunks, first, dial: again, onEnd });
        return;
      }
      for (const chunk of chunks) upstream.write(chunk);
      joinTunnel(client, upstream, this.#limits, release);
    } catch (error) {
      early.take();
      release();
      if (given.signal.aborted) client.destroy();
      else throw error;
    }
  }

  #dial(sessionId: string, destination: Destination, signal: AbortSignal): Promise<Socket> {
    const { connectMs } = this.#limits;
    return dial(destination, { sessionId, resolver: this.#resolver, connectMs, target: this.#target, signal });
  }

  /** Takes a place for a connection; the returned function gives it back. Throws when there is none left. */
  #take(sessionId: string, end: () => void): () => void {
    const connections = this.#open.get(sessionId) ?? new Set();
    if (connections.size >= this.#limits.perSession) {
      throw new EgressRefusal("limit", `This sandbox has ${connections.size} connections open; close some first.`);
    }
    if (this.#total >= this.#limits.total) {
      const text = `All sandboxes together have ${this.#total} connections open, which is the limit. Try again in a while.`;
      throw new EgressRefusal("limit", text);
    }
    this.#open.set(sessionId, connections.add(end));
    this.#total += 1;
    return () => {
      if (!connections.delete(end)) return;
      this.#total -= 1;
      if (connections.size === 0) this.#open.delete(sessionId);
    };
  }
}

/** Throws when the request is ambiguous, or its Host names neither its destination nor this broker. */
function checkForm(request: IncomingMessage): void {
  const wrong = malformed(request);
  if (wrong !== null) throw new EgressRefusal("malformed", wrong);
  const { host } = request.headers;
  if (host === undefined || host === request.url || host === `127.0.0.1:${request.socket.localPort}`) return;
  throw new EgressRefusal("malformed", "The Host header names another destination than CONNECT.");
}

/**
 * Reads what the caller sends before the connection stands, within a bound: only a socket that is read tells that its
 * caller has left.
 */
function keepEarly(client: Duplex, head: Buffer, onLeft: () => void): { take: () => Buffer[] } {
  const chunks = [head];
  let size = head.length;
  const onData = (chunk: Buffer) => {
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_EARLY_BYTES) client.pause();
  };
  client.on("data", onData);
  client.once("end", onLeft);
  client.once("close", onLeft);
  return {
    take: () => {
      client.pause();
      client.off("data", onData);
      client.off("end", onLeft);
      client.off("close", onLeft);
      return chunks;
    },
  };
}
