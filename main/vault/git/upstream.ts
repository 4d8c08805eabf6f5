/**
 * Connections to git servers: to addresses that were checked, of the machine that the person attached. A name on the
 * internet that leads into a private network is refused; an address or localhost that was attached as such is not.
 */
import { type IncomingMessage, request } from "node:http";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { canonicalHost } from "../../contract/egress.ts";
import { dial } from "../egress/dial.ts";
import { EgressRefusal } from "../egress/refusal.ts";
import { type Resolve, Resolver, systemResolve } from "../egress/resolver.ts";
import { Refusal } from "../refusal.ts";

export interface GitTimeouts {
  /** Milliseconds until a connection stands, the name's lookup and TLS included. */
  connectMs: number;
  /** Milliseconds of silence in a request; a server may count objects, or run the hooks of a push, for minutes. */
  idleMs: number;
}

const TIMEOUTS: GitTimeouts = { connectMs: 20_000, idleMs: 10 * 60_000 };

/** Set in code only, by tests. */
export interface GitOptions {
  resolve?: Resolve;
  timeouts?: Partial<GitTimeouts>;
}

export interface GitRequest {
  sessionId: string;
  method: "GET" | "POST";
  /** Scheme, host, port, path and query. */
  url: URL;
  headers: Record<string, string>;
  /** Sent as it comes. */
  body: AsyncIterable<Buffer> | null;
  signal: AbortSignal;
}

export class GitUpstream {
  readonly #resolver: Resolver;
  readonly #timeouts: GitTimeouts;

  constructor({ resolve = systemResolve, timeouts = {} }: GitOptions = {}) {
    this.#resolver = new Resolver(resolve);
    this.#timeouts = { ...TIMEOUTS, ...timeouts };
  }

  /** Resolves when the answer begins; redirects are answers. Rejects with {@link Refusal}. */
  async send(asked: GitRequest): Promise<IncomingMessage> {
    const { url, signal } = asked;
    const socket = await this.#connect(asked);
    return new Promise((resolve, reject) => {
      const outgoing = request({
        method: asked.method,
        path: `${url.pathname}${url.search}`,
        headers: { host: url.host, ...asked.headers, connection: "close" },
        createConnection: () => socket,
        signal,
      });
      socket.setTimeout(this.#timeouts.idleMs, () => socket.destroy(new Error("it was silent for too long")));
      outgoing.on("response", resolve);
      outgoing.on("upgrade", (_response, taken: Socket) => taken.destroy());
      outgoing.on("error", (error) => reject(failed(url.host, error.message)));
      outgoing.on("close", () => reject(failed(url.host, "the connection was closed")));
      void send(asked.body, outgoing);
    });
  }

  async #connect({ url, sessionId, signal }: GitRequest): Promise<Socket> {
    const late = AbortSignal.any([signal, AbortSignal.timeout(this.#timeouts.connectMs)]);
    const port = Number(url.port) || (url.protocol === "http:" ? 80 : 443);
    const host = url.hostname.replace(/^\[|\]$/g, "");
    const socket =
      isIP(host) !== 0 || host === "localhost"
        ? await settled(connect({ host, port, noDelay: true }), "connect", url.host, late)
        : await this.#dial(sessionId, host, port, late);
    if (url.protocol === "http:") return socket;
    const servername = isIP(host) === 0 ? { servername: host } : {};
    // Anything but HTTP/1.1 could not be spoken on this socket.
    const secure = connectTls({ socket, ...servername, ALPNProtocols: ["http/1.1"] });
    return settled(secure, "secureConnect", url.host, late);
  }

  async #dial(sessionId: string, host: string, port: number, signal: AbortSignal): Promise<Socket> {
    const name = canonicalHost(host);
    if (name === null) throw unreachable(`${JSON.stringify(host)} is no name of a host.`);
    try {
      return await dial(
        { host: name, port, rule: "attached repository", intercept: false },
        { sessionId, resolver: this.#resolver, connectMs: this.#timeouts.connectMs, target, signal },
      );
    } catch (error) {
      if (!(error instanceof EgressRefusal)) throw error;
      if (error.code !== "address") throw unreachable(error.message);
      const text = `${name} leads to an address of this machine or a private network, so it was not called with a token. Attach the repository by that address itself if it is meant.`;
      throw new Refusal(403, "permission_error", text, "not_granted");
    }
  }
}

const target = (host: string, port: number) => ({ host, port });

function settled(
  socket: Socket,
  event: "connect" | "secureConnect",
  host: string,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const stop = () => socket.destroy(new Error("it took too long"));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    socket.once(event, () => {
      signal.removeEventListener("abort", stop);
      resolve(socket);
    });
    // Stays: a late error of a socket nobody listens to would end the broker.
    socket.on("error", (error: NodeJS.ErrnoException) => {
      signal.removeEventListener("abort", stop);
      reject(unreachable(`${host} could not be reached (${error.code ?? error.message}).`));
    });
  });
}

async function send(body: AsyncIterable<Buffer> | null, outgoing: ReturnType<typeof request>): Promise<void> {
  try {
    for await (const chunk of body ?? []) {
      if (outgoing.destroyed) return;
      if (!outgoing.write(chunk)) await drained(outgoing);
    }
    outgoing.end();
  } catch {
    // A body that breaks off must not look complete to the server: half a pack is no push.
    outgoing.destroy();
  }
}

function drained(outgoing: ReturnType<typeof request>): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      outgoing.off("drain", go);
      outgoing.off("close", go);
      resolve();
    };
    outgoing.on("drain", go);
    outgoing.on("close", go);
  });
}

function unreachable(text: string): Refusal {
  return new Refusal(
    502,
    "api_error",
    `${text} Nothing was changed. Check the URL and the network, then try again.`,
    "endpoint_unreachable",
  );
}

function failed(host: string, reason: string): Refusal {
  const text = `The connection to ${host} broke before it answered (${reason}). Try again.`;
  return new Refusal(502, "api_error", text, "endpoint_failed");
}
