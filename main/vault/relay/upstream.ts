/** One HTTP exchange with an upstream over pooled connections. Nothing here follows redirects. */
import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders } from "node:http";
import https from "node:https";
import type { LookupFunction } from "node:net";
import { Refusal } from "../refusal.ts";

export interface UpstreamTimeouts {
  /** Until a connection stands, TLS included. */
  connectMs: number;
  /** Until the response begins; a large request that is not streamed takes minutes. */
  headersMs: number;
  /** Silence within a response. The API pings its streams, so a living one is never silent for long. */
  idleMs: number;
}

export const DEFAULT_TIMEOUTS: UpstreamTimeouts = { connectMs: 15_000, headersMs: 600_000, idleMs: 300_000 };

export interface UpstreamRequest {
  method: string;
  path: string;
  headers: OutgoingHttpHeaders;
  body: Buffer | null;
  /** The caller went away. */
  signal: AbortSignal;
  /** False when it must not be sent a second time on the mere guess that nobody has read the first. Default: true. */
  repeatable?: boolean;
}

/** How failures are told. */
export interface UpstreamWords {
  /** What it is, for example "The model endpoint". */
  name: string;
  /** What to do when it cannot be reached. @param local true when it is on this machine */
  remedy: (local: boolean) => string;
  /** What is to be said of a request that was sent and not answered. */
  unanswered: string;
}

export interface UpstreamOptions {
  words?: UpstreamWords;
  /** Shared with other upstreams, whose owner closes it. Default: one of its own. */
  pool?: Pool;
  /** Default: the system's. */
  lookup?: LookupFunction;
}

/** @param address what a person knows the endpoint's address by, for texts */
export function modelWords(address: string): UpstreamWords {
  return {
    name: "The model endpoint",
    remedy: (local) => `${local ? "Start the model server there" : "Check the network"}, or correct ${address}.`,
    unanswered: "The session keeps everything; the request can be repeated.",
  };
}

const MAX_HEADER_BYTES = 64 * 1024;
const POOL = { keepAlive: true, maxFreeSockets: 32, scheduling: "lifo" } as const;

/** Connections that stay open between requests, per origin. */
export class Pool {
  readonly #plain: http.Agent;
  readonly #secure: https.Agent;

  /** @param freeMs milliseconds after which an unused connection is closed. Default: when its server does. */
  constructor(freeMs?: number) {
    const options = { ...POOL, ...(freeMs === undefined ? {} : { timeout: freeMs }) };
    this.#plain = new http.Agent(options);
    this.#secure = new https.Agent({ ...options, ALPNProtocols: ["http/1.1"] });
  }

  agent(secure: boolean): http.Agent {
    return secure ? this.#secure : this.#plain;
  }

  /** Closes unused connections; those in use are not touched and may be reused, since they just proved to be alive. */
  dropConnections(): void {
    for (const { freeSockets } of [this.#plain, this.#secure]) {
      for (const sockets of Object.values(freeSockets)) for (const socket of sockets ?? []) socket.destroy();
    }
  }

  /** Closes connections as soon as they are not in use. */
  retire(): void {
    for (const agent of [this.#plain, this.#secure]) agent.on("free", (socket) => socket.destroy());
    this.dropConnections();
  }

  /** Ends every connection. */
  close(): void {
    this.#plain.destroy();
    this.#secure.destroy();
  }
}

/** Failures to reach the endpoint at all, as against failures of the endpoint. */
const UNREACHABLE: Record<string, string> = {
  ECONNREFUSED: "nothing listens there (connection refused)",
  ENOTFOUND: "its name could not be resolved",
  EAI_AGAIN: "its name could not be resolved; the network or DNS seems to be away",
  ENETUNREACH: "the network is unreachable",
  ENETDOWN: "the network is down",
  EHOSTUNREACH: "the host is unreachable",
  EHOSTDOWN: "the host is down",
  EADDRNOTAVAIL: "this machine has no network address to reach it from",
  ETIMEDOUT: "the connection timed out",
};

export class Upstream {
  readonly #origin: URL;
  readonly #timeouts: UpstreamTimeouts;
  readonly #pool: Pool;
  readonly #words: UpstreamWords;
  readonly #lookup: LookupFunction | undefined;

  constructor(origin: URL, timeouts: UpstreamTimeouts, options: UpstreamOptions = {}) {
    this.#origin = origin;
    this.#timeouts = timeouts;
    this.#pool = options.pool ?? new Pool();
    this.#words = options.words ?? modelWords("ANTHROPIC_BASE_URL");
    this.#lookup = options.lookup;
  }

  /** Closes pooled connections that are not in use. */
  dropConnections(): void {
    this.#pool.dropConnections();
  }

  /** Another endpoint took its place: requests in flight end as they would, and no connection outlives them. */
  retire(): void {
    this.#pool.retire();
  }

  close(): void {
    this.#pool.close();
  }

  /** Resolves when the response begins. Rejects with {@link Refusal}, which names the host and never a secret. */
  async send(request: UpstreamRequest): Promise<IncomingMessage> {
    try {
      return await this.#once(request);
    } catch (error) {
      // The endpoint closed a pooled connection just as it was used: nothing was processed, a fresh one is tried once.
      if (error instanceof StaleConnection) return this.#once(request);
      throw error;
    }
  }

  #once(request: UpstreamRequest): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const secure = this.#origin.protocol === "https:";
      const outgoing = (secure ? https : http).request({
        agent: this.#pool.agent(secure),
        protocol: this.#origin.protocol,
        hostname: this.#origin.hostname.replace(/^\[|\]$/g, ""),
        port: this.#origin.port,
        method: request.method,
        path: request.path,
        headers: request.headers,
        maxHeaderSize: MAX_HEADER_BYTES,
        signal: request.signal,
        ...(this.#lookup === undefined ? {} : { lookup: this.#lookup }),
      });
      const stopTimers = this.#watch(outgoing);
      outgoing.on("response", (response) => {
        stopTimers();
        outgoing.on("timeout", () => response.destroy(new Error("the endpoint went silent in mid-response")));
        resolve(response);
      });
      // Socket silence, not total time: a long answer that keeps coming is healthy.
      outgoing.setTimeout(this.#timeouts.idleMs);
      outgoing.on("error", (error) => {
        stopTimers();
        reject(this.#describe(error, outgoing.reusedSocket && request.repeatable !== false));
      });
      // An answer of status 101 ends the connection without an error.
      outgoing.on("close", () => {
        stopTimers();
        reject(this.#describe(new Error("no response"), false));
      });
      outgoing.end(request.body ?? undefined);
    });
  }

  /** Ends the request when the connection or the response takes too long. Returns the function that stops watching. */
  #watch(outgoing: ClientRequest): () => void {
    const { connectMs, headersMs } = this.#timeouts;
    const headers = setTimeout(
      () => outgoing.destroy(new Refusal(504, "timeout_error", this.#silent(), "endpoint_timeout")),
      headersMs,
    );
    let connect: NodeJS.Timeout | undefined;
    outgoing.on("socket", (socket) => {
      if (!socket.connecting) return;
      connect = setTimeout(
        () => outgoing.destroy(Object.assign(new Error("connect"), { code: "ETIMEDOUT" })),
        connectMs,
      );
      const connected = this.#origin.protocol === "https:" ? "secureConnect" : "connect";
      socket.once(connected, () => clearTimeout(connect));
    });
    return () => {
      clearTimeout(headers);
      clearTimeout(connect);
    };
  }

  #silent(): string {
    const seconds = Math.round(this.#timeouts.headersMs / 1000);
    return `${this.#origin.host} took the request but did not begin to answer within ${seconds} s. ${this.#words.unanswered}`;
  }

  /** @param stale true when a connection that was open before may have been closed just then */
  #describe(error: Error, stale: boolean): Error {
    if (error instanceof Refusal) return error;
    const code = codeOf(error);
    if (stale && (code === "ECONNRESET" || code === "EPIPE")) return new StaleConnection();
    const { host } = this.#origin;
    const reason = UNREACHABLE[code];
    if (reason !== undefined) {
      const { name, remedy } = this.#words;
      return new Refusal(
        502,
        "api_error",
        `${name} ${host} cannot be reached: ${reason}. Nothing is lost. ${remedy(this.#isLocal())}`,
        "endpoint_unreachable",
      );
    }
    if (/CERT|SELF_SIGNED|UNABLE_TO_VERIFY|ERR_TLS/.test(code)) {
      const text = `The certificate of ${host} is not trusted (${code}), so no key was sent. Check the address; for a private authority set NODE_EXTRA_CA_CERTS.`;
      return new Refusal(502, "api_error", text, "endpoint_failed");
    }
    const text = `The connection to ${host} broke before it answered (${code || "no reason given"}). ${this.#words.unanswered}`;
    return new Refusal(502, "api_error", text, "endpoint_failed");
  }

  #isLocal(): boolean {
    return /^(localhost|127\.|\[::1\])/.test(this.#origin.hostname);
  }
}

class StaleConnection extends Error {}

/** The error's code; an attempt on several addresses at once reports its codes one level down. */
function codeOf(error: Error): string {
  const { code, errors } = error as { code?: unknown; errors?: { code?: unknown }[] };
  return String(code ?? errors?.[0]?.code ?? "");
}
