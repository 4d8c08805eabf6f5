/**
 * The HTTP proxy that programs in a limited sandbox talk to: CONNECT for TLS, absolute URLs for plain HTTP. It runs in
 * the engine over connections that come from the relay, and opens what they ask for through the egress route.
 */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream";
import { canonicalHost } from "../../../contract/egress.ts";
import type { EgressDecision } from "./egress_log.ts";
import { EgressRefused } from "./refused.ts";

export interface ProxyOptions {
  /** Opens a connection. Rejects with {@link EgressRefused} when the rules say no. */
  connect: (host: string, port: number) => Promise<Duplex>;
  /** The setting that allows a host, in words. @param host canonical */
  ruleFor: (host: string) => string | null;
  note: (decision: EgressDecision) => void;
  /** Answers requests for attached repositories, which are made to the proxy itself; undefined when there are none. */
  git?: (incoming: IncomingMessage, response: ServerResponse) => Promise<void> | undefined;
  /** Milliseconds in which a request's head must have arrived. */
  headMs?: number;
}

const HEAD_MS = 30_000;
/** As many as the egress route lets one sandbox have. */
const MAX_OPENING = 128;
const TOO_MANY = `This sandbox is opening ${MAX_OPENING} connections already; repeat the request when some of them stand.`;
const HOP_BY_HOP = /^(connection|proxy-.*|keep-alive|te|trailer|upgrade|host|expect)$/i;

export class EgressProxy {
  readonly #options: ProxyOptions;
  readonly #server: Server;
  /** Connections whose first request has not arrived. */
  readonly #headless = new Map<Duplex, NodeJS.Timeout>();
  /** Connections that are asked of the egress route at this moment. */
  #opening = 0;

  constructor(options: ProxyOptions) {
    this.#options = options;
    // Never listens: connections are handed in.
    this.#server = createServer({ maxHeaderSize: 16 * 1024 }, (incoming, response) => {
      this.#headArrived(incoming.socket);
      void this.#forward(incoming, response);
    });
    this.#server.on("connect", (incoming, socket, head) => {
      this.#headArrived(socket);
      void this.#tunnel(incoming.url ?? "", socket, head);
    });
  }

  accept(connection: Duplex): void {
    const timer = setTimeout(() => connection.destroy(), this.#options.headMs ?? HEAD_MS);
    this.#headless.set(connection, timer);
    connection.once("close", () => this.#headArrived(connection));
    this.#server.emit("connection", connection);
  }

  #headArrived(connection: Duplex): void {
    clearTimeout(this.#headless.get(connection));
    this.#headless.delete(connection);
  }

  async #tunnel(authority: string, client: Duplex, head: Buffer): Promise<void> {
    const asked = /^(.{1,260}):(\d{1,5})$/.exec(authority);
    if (asked === null) return void client.end(plainAnswer(400, "CONNECT needs host:port."));
    const outcome = await this.#open(asked[1] ?? "", Number(asked[2]));
    if ("status" in outcome) return void client.end(plainAnswer(outcome.status, outcome.text));
    const { upstream } = outcome;
    if (client.destroyed) return void upstream.destroy();
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    if (head.length > 0) upstream.write(head);
    // Each direction by itself, since one may be through long before the other; a break ends both.
    const broken = (error: unknown) => {
      if (error == null) return;
      client.destroy();
      upstream.destroy();
    };
    pipeline(client, upstream, broken);
    pipeline(upstream, client, broken);
  }

  async #forward(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = proxyUrl(incoming.url ?? "");
    const git = url === null && incoming.url?.startsWith("/git/") ? this.#options.git?.(incoming, response) : undefined;
    if (git !== undefined) return git;
    if (url === null) {
      const text = "This is the way out of the sandbox: it takes http:// URLs, and CONNECT for everything else.";
      return answer(response, 400, text);
    }
    const outcome = await this.#open(url.hostname, Number(url.port || 80));
    if ("status" in outcome) return answer(response, outcome.status, outcome.text);
    const { upstream } = outcome;
    if (response.destroyed) return void upstream.destroy();
    const outgoing = request({
      createConnection: () => upstream,
      method: incoming.method,
      path: `${url.pathname}${url.search}`,
      // A Host of the caller's choice would reach another site of the same server.
      headers: ["host", url.host, ...endToEnd(incoming.rawHeaders), "connection", "close"],
    });
    outgoing.on("response", (upstreamResponse) => {
      const { statusCode = 502, statusMessage, rawHeaders } = upstreamResponse;
      try {
        response.writeHead(statusCode, statusMessage, [...endToEnd(rawHeaders), "connection", "close"]);
      } catch {
        // What Node reads it does not always write: a status of 099, control characters. Unheard, this ends the engine.
        outgoing.destroy();
        return answer(response, 502, `${url.host} gave an answer that is no valid HTTP, so it was not passed on.`);
      }
      pipeline(upstreamResponse, response, () => upstream.destroy());
    });
    // Without a listener a switch of protocols, which nobody asked for, would never be answered here.
    outgoing.on("upgrade", (_upstreamResponse, socket: Duplex) => {
      socket.destroy();
      answer(response, 502, `${url.host} switched to another protocol, which plain HTTP requests do not pass on.`);
    });
    outgoing.on("error", (error) => {
      upstream.destroy();
      answer(response, 502, `The connection to ${url.host} broke before it answered (${error.message}).`);
    });
    response.on("close", () => upstream.destroy());
    // A request that breaks off must not look complete to the server.
    pipeline(incoming, outgoing, (error) => (error == null ? undefined : outgoing.destroy()));
  }

  async #open(host: string, port: number): Promise<{ upstream: Duplex } | { status: number; text: string }> {
    const name = canonicalHost(host) ?? host.replace(/[^\x21-\x7e]/g, "?");
    const rule = this.#options.ruleFor(name);
    this.#opening += 1;
    try {
      // One connection can carry thousands of requests at once; each would take a socket of this process.
      if (this.#opening > MAX_OPENING) throw new Error(TOO_MANY);
      const upstream = await this.#options.connect(host, port);
      this.#options.note({ host: name, port, decision: "allowed", reason: rule ?? "allowed" });
      return { upstream };
    } catch (error) {
      const text = error instanceof Error ? error.message : "The connection failed.";
      if (error instanceof EgressRefused) {
        this.#options.note({ host: name, port, decision: "denied", reason: text });
        return { status: 403, text: `${text} ${HOW_TO_ALLOW}` };
      }
      if (rule !== null) this.#options.note({ host: name, port, decision: "allowed", reason: `${rule}; ${text}` });
      return { status: 502, text };
    } finally {
      this.#opening -= 1;
    }
  }
}

const HOW_TO_ALLOW =
  "The sandbox reaches only what its environment allows. To allow a host, its owner adds it to networking.allowed_hosts of the environment (allow_package_managers adds the package registries) and starts a new session.";

function proxyUrl(text: string): URL | null {
  if (!/^http:\/\//i.test(text) || !URL.canParse(text)) return null;
  return new URL(text);
}

function endToEnd(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (!HOP_BY_HOP.test(name)) kept.push(name, rawHeaders[at + 1] ?? "");
  }
  return kept;
}

function plainAnswer(status: number, text: string): string {
  const body = `Longhaul: ${text}\n`;
  const reason = status === 403 ? "Forbidden by the environment's network rules" : "Failed";
  return [
    `HTTP/1.1 ${status} ${reason}`,
    "content-type: text/plain; charset=utf-8",
    `content-length: ${Buffer.byteLength(body)}`,
    `longhaul-reason: ${text.replace(/[^\x20-\x7e]/g, "?")}`,
    "connection: close",
    "",
    body,
  ].join("\r\n");
}

function answer(response: ServerResponse, status: number, text: string): void {
  if (response.headersSent) return void response.destroy();
  const body = `Longhaul: ${text}\n`;
  // The reason is named, since a refused one stays in the response.
  const headers = { "content-type": "text/plain; charset=utf-8", connection: "close" };
  response.writeHead(status, STATUS_CODES[status] ?? "", headers);
  response.end(body);
}
