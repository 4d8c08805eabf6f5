/** Connections to the real host: dialled to a checked address, encrypted, and only to who proves to be the host. */
import { Agent } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { isIpv4Literal } from "../../../contract/egress.ts";
import { EgressRefusal } from "../refusal.ts";
import { RequestRefused } from "./message/refused.ts";

export interface UpstreamOptions {
  /** Canonical name or IPv4 address. */
  host: string;
  /** Makes a connection to one of the host's checked addresses. Rejects with EgressRefusal. */
  dial: () => Promise<Socket>;
  /** One that was made already. */
  first: Socket;
  /** Who is trusted to vouch for hosts. */
  trust: tls.SecureContext;
  /** Milliseconds for the handshake. */
  connectMs: number;
}

/** A first connection that waited longer may have been ended by the host. */
const FRESH_MS = 3_000;

/** One connection at a time, kept for the next request. */
export class Upstream extends Agent {
  readonly #options: UpstreamOptions;
  readonly #made = Date.now();
  #first: Socket | null;
  #closed = false;

  constructor(options: UpstreamOptions) {
    super({ keepAlive: true, maxSockets: 1, maxFreeSockets: 1 });
    this.#options = options;
    this.#first = options.first;
  }

  override createConnection(_options: unknown, done?: (error: Error | null, socket: Duplex) => void): undefined {
    this.#connect().then(
      (socket) => done?.(null, socket),
      (error: Error) => done?.(error, undefined as unknown as Duplex),
    );
    return undefined;
  }

  async #connect(): Promise<tls.TLSSocket> {
    const first = this.#first;
    this.#first = null;
    const fresh = first !== null && !first.destroyed && Date.now() - this.#made < FRESH_MS;
    if (!fresh) first?.destroy();
    const socket = fresh ? first : await this.#dial();
    if (this.#closed) {
      socket.destroy();
      throw new RequestRefused(502, "unreachable", "The connection was ended.");
    }
    return this.#secure(socket);
  }

  async #dial(): Promise<Socket> {
    try {
      return await this.#options.dial();
    } catch (error) {
      if (error instanceof EgressRefusal) throw new RequestRefused(502, "unreachable", error.message);
      throw error;
    }
  }

  #secure(socket: Socket): Promise<tls.TLSSocket> {
    const { host, trust, connectMs } = this.#options;
    return new Promise((resolve, reject) => {
      const secured = tls.connect({
        socket,
        host,
        ...(isIpv4Literal(host) ? {} : { servername: host }),
        secureContext: trust,
        ALPNProtocols: ["http/1.1"],
        // Said here, because a variable of the environment can turn it off for the whole process.
        rejectUnauthorized: true,
      });
      const fail = (error: Error & { code?: string }): void => {
        clearTimeout(timer);
        secured.destroy();
        socket.destroy();
        reject(handshakeRefused(host, error));
      };
      const timer = setTimeout(() => fail(new Error("it took too long")), connectMs);
      secured.once("error", fail);
      const ended = () => fail(new Error("the host ended it"));
      secured.once("close", ended);
      secured.once("secureConnect", () => {
        clearTimeout(timer);
        if (!secured.authorized) return fail(secured.authorizationError ?? new Error("it is not authorized"));
        secured.off("close", ended);
        secured.off("error", fail);
        // Stays: a late error of a socket nobody listens to would end the broker.
        secured.on("error", () => secured.destroy());
        resolve(secured);
      });
    });
  }

  override destroy(): void {
    this.#closed = true;
    this.#first?.destroy();
    this.#first = null;
    super.destroy();
  }
}

const NOT_ITSELF = /^(CERT_|ERR_TLS_CERT|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|INVALID_|HOSTNAME_MISMATCH)/;

function handshakeRefused(host: string, error: Error & { code?: string }): RequestRefused {
  const why = error.code ?? error.message;
  if (NOT_ITSELF.test(why)) {
    const text = `${host} has no certificate that can be trusted (${why}), so nothing was sent to it.`;
    return new RequestRefused(502, "certificate", text);
  }
  return new RequestRefused(502, "unreachable", `No encrypted connection to ${host} could be made (${why}).`);
}

let system: tls.SecureContext | null = null;

/** Roots that this program brings along, and those of the system: a company's own are only there. Read once. */
export function systemTrust(): tls.SecureContext {
  if (system !== null) return system;
  const roots = new Set([...rootsOf("default"), ...rootsOf("system")]);
  system = trustIn(roots.size === 0 ? undefined : [...roots]);
  return system;
}

/** Empty where they cannot be told: older Node knows its own roots only, and a system's store may be unreadable. */
function rootsOf(store: "default" | "system"): string[] {
  try {
    return typeof tls.getCACertificates === "function" ? tls.getCACertificates(store) : [];
  } catch {
    return [];
  }
}

/** @param roots PEM; the default ones when undefined */
export function trustIn(roots: string[] | undefined): tls.SecureContext {
  return tls.createSecureContext({ minVersion: "TLSv1.2", ...(roots === undefined ? {} : { ca: roots }) });
}
