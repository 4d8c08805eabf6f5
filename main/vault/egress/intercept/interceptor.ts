/**
 * Connections to hosts that get the values of a session's variables are not tunnelled: they end here, at a certificate
 * that only sandboxes trust, so that values can be put into requests. Only HTTP/1.1, and only for the host that the
 * connection was asked for.
 */
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import { canonicalHost, isIpv4Literal } from "../../../contract/egress.ts";
import type { AuditLog } from "../../grants/audit.ts";
import { Refusal } from "../../refusal.ts";
import { EgressRefusal } from "../refusal.ts";
import type { EgressAuthority } from "./authority/authority.ts";
import { Exchange } from "./exchange.ts";
import { RequestRefused } from "./message/refused.ts";
import { systemTrust, trustIn, Upstream } from "./upstream.ts";
import { UseLog } from "./uses.ts";
import type { Variables } from "./variables.ts";
import { answerUpgrade } from "./websocket.ts";

export interface InterceptorParts {
  variables: Variables;
  authority: EgressAuthority;
  audit: AuditLog;
  /** PEM of who vouches for hosts; left out: those of this program and of the system. Set by tests. */
  roots?: string[] | undefined;
  /** Milliseconds without a byte after which a connection is ended. */
  idleMs: number;
  /** Milliseconds for each handshake. */
  connectMs: number;
  /** Told about failures that are this program's. */
  onFault: (error: unknown) => void;
}

export interface Interception {
  sessionId: string;
  /** Canonical name or IPv4 address; port 443. */
  host: string;
  /** From {@link Interceptor.contextFor}. */
  context: SecureContext;
  client: Duplex;
  /** What the client sent before. */
  early: Buffer[];
  /** A connection to the host, and how further ones are made. */
  first: Socket;
  dial: () => Promise<Socket>;
  /** Called once, when the client's connection is closed. */
  onEnd: () => void;
}

const INTERCEPTED_PORT = 443;
const MAX_HEAD = 64 * 1024;
/** Milliseconds between an answer and the next request. */
const KEPT_MS = 60_000;

export class Interceptor {
  readonly #parts: InterceptorParts;
  /** Never listens: connections are handed in. */
  readonly #server: Server;
  readonly #exchanges = new WeakMap<Duplex, Exchange>();

  constructor(parts: InterceptorParts) {
    this.#parts = parts;
    this.#server = createServer({ maxHeaderSize: MAX_HEAD, requestTimeout: 0 }, (request, response) => {
      void this.#exchanges.get(request.socket)?.answer(request, response);
    });
    this.#server.on("upgrade", (request: IncomingMessage, client: Duplex, head: Buffer) => {
      const exchange = this.#exchanges.get(client);
      if (exchange === undefined) return void client.destroy();
      (client as TLSSocket).setTimeout(parts.idleMs, () => client.destroy());
      void answerUpgrade(exchange, request, client, head);
    });
    this.#server.on("clientError", (error: NodeJS.ErrnoException, client: Duplex) => {
      const [status, what] =
        error.code === "HPE_HEADER_OVERFLOW" ? [431, "headers are too large"] : [400, "is no valid HTTP/1.1"];
      new RequestRefused(status as number, "malformed", `The request ${what}, so it was not passed on.`).end(client);
    });
    this.#server.timeout = parts.idleMs;
    this.#server.keepAliveTimeout = Math.min(KEPT_MS, parts.idleMs);
  }

  /** True when the session has a variable that gets its value there. Throws {@link EgressRefusal} `grants_unknown`. */
  concerns(sessionId: string, { host, port }: { host: string; port: number }): boolean {
    if (port !== INTERCEPTED_PORT) return false;
    try {
      return this.#parts.variables.at(sessionId, host).length > 0;
    } catch (error) {
      throw error instanceof Refusal ? new EgressRefusal("grants_unknown", error.message) : error;
    }
  }

  /** What to show to a client as this host. Rejects with {@link EgressRefusal} `credential`. */
  async contextFor(sessionId: string, host: string): Promise<SecureContext> {
    try {
      return await this.#parts.authority.contextFor(host);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { audit, variables } = this.#parts;
      const log = new UseLog(audit, { session_id: sessionId, host });
      log.refuseAll(variables.at(sessionId, host), error.code ?? "no certificate");
      const text = `Requests to ${host} need the value of a variable, which cannot be had, so nothing was sent.`;
      throw new EgressRefusal("credential", `${text} ${error.message}`);
    }
  }

  begin({ sessionId, host, context, client, early, first, dial, onEnd }: Interception): void {
    const { variables, audit, onFault, roots, connectMs } = this.#parts;
    const trust = roots === undefined ? systemTrust() : trustIn(roots);
    const upstream = new Upstream({ host, dial, first, trust, connectMs });
    const exchange = new Exchange({ sessionId, host, variables, audit, upstream, onFault });
    const bytes = Buffer.concat(early);
    if (bytes.length > 0) client.unshift(bytes);
    let fronted = false;
    const secured = new TLSSocket(client as Socket, {
      isServer: true,
      secureContext: context,
      ALPNProtocols: ["http/1.1"],
      SNICallback: (name, done) => {
        fronted = canonicalHost(name) !== host;
        done(fronted ? new Error("another host was asked for") : null, context);
      },
    });
    this.#exchanges.set(secured, exchange);
    const slow = setTimeout(() => secured.destroy(), connectMs);
    secured.on("error", () => secured.destroy());
    secured.once("close", () => {
      clearTimeout(slow);
      if (fronted) exchange.refuseAll("fronting");
      upstream.destroy();
      client.destroy();
      onEnd();
    });
    client.once("close", () => secured.destroy());
    secured.once("secure", () => {
      clearTimeout(slow);
      // Without a name a client did not say which host it takes this for.
      if (!isIpv4Literal(host) && canonicalHost(String(secured.servername ?? "")) !== host) {
        fronted = true;
        return void secured.destroy();
      }
      this.#server.emit("connection", secured);
    });
  }
}
