/**
 * Where authorization servers send the person's browser back to: a small server on the loopback address that is open only
 * while somebody signs in. What it is given counts once, for the sign-in whose `state` it carries.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Refusal } from "../../refusal.ts";
import { sendPage } from "./pages.ts";

/** Handles what the browser brought. Resolves with whether the sign-in worked; never rejects. */
export type OnRedirect = (parameters: URLSearchParams) => Promise<boolean>;

interface Expected {
  path: string;
  onRedirect: OnRedirect;
}

interface Open {
  server: Server;
  /** `http://127.0.0.1:<port>` */
  origin: string;
}

/** Known to people who register Longhaul at a server that compares ports, too. */
const PREFERRED_PORT = 47_913;
/** Callers are a browser on this machine: whatever takes longer, or is larger, is not meant well. */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 2_000,
  maxHeaderSize: 16_384,
};
const MAX_CONNECTIONS = 50;

export const REDIRECT_PATH = "/oauth/callback";

export class RedirectListener {
  readonly #port: number;
  readonly #expected = new Map<string, Expected>();
  #users = 0;
  #open: Promise<Open> | null = null;

  /** @param port tried first; another is taken when it is in use. 0 for any */
  constructor(port: number = PREFERRED_PORT) {
    this.#port = port;
  }

  /**
   * Opens it, or keeps it open. Resolves with its origin, `http://127.0.0.1:<port>`; {@link release} undoes it.
   * Rejects with {@link Refusal} when no port can be had.
   */
  async hold(): Promise<string> {
    this.#users += 1;
    this.#open ??= listen(this.#port, (request, response, origin) => {
      this.#answer(request, response, origin).catch(() => response.destroy());
    });
    try {
      return (await this.#open).origin;
    } catch {
      this.#open = null;
      this.#users -= 1;
      const text =
        "No port of this machine can be opened for the sign-in's way back. Close other programs, then start again.";
      throw new Refusal(500, "api_error", text, "endpoint_failed");
    }
  }

  /** When nobody is left, it closes; answers under way are finished. */
  release(): void {
    if (this.#users === 0) return;
    this.#users -= 1;
    if (this.#users === 0) this.#shut();
  }

  #shut(): void {
    const closing = this.#open;
    this.#open = null;
    void closing?.then(
      ({ server }) => {
        server.close();
        server.closeIdleConnections();
      },
      () => undefined,
    );
  }

  /** Lets one request with this `state` through to `onRedirect`. */
  expect(state: string, path: string, onRedirect: OnRedirect): void {
    this.#expected.set(digestOf(state), { path, onRedirect });
  }

  /** No request with this `state` counts any more. */
  dismiss(state: string): void {
    this.#expected.delete(digestOf(state));
  }

  close(): void {
    this.#expected.clear();
    this.#users = 0;
    this.#shut();
  }

  async #answer(request: IncomingMessage, response: ServerResponse, origin: string): Promise<void> {
    response.on("error", () => response.destroy());
    request.resume();
    // A name that was made to lead here must not be able to read or finish a sign-in.
    if (`http://${request.headers.host}` !== origin || request.method !== "GET") return sendPage(response, "unknown");
    const url = URL.parse(request.url ?? "", origin);
    if (url === null || !url.pathname.startsWith(REDIRECT_PATH)) return sendPage(response, "unknown");
    const states = url.searchParams.getAll("state");
    const digest = digestOf(states[0] ?? "");
    const expected = this.#expected.get(digest);
    if (states.length !== 1 || expected === undefined || url.pathname !== expected.path) {
      return sendPage(response, "over");
    }
    this.#expected.delete(digest);
    sendPage(response, (await expected.onRedirect(url.searchParams)) ? "done" : "failed");
  }
}

type OnRequest = (request: IncomingMessage, response: ServerResponse, origin: string) => void;

/** @param port another one is taken when it is in use */
function listen(port: number, onRequest: OnRequest): Promise<Open> {
  const start = (wanted: number): Promise<Open> =>
    new Promise((resolve, reject) => {
      let origin = "";
      const server = createServer(LIMITS, (request, response) => onRequest(request, response, origin));
      server.maxConnections = MAX_CONNECTIONS;
      // Stays: an error that nobody listens to, for example too many open files, would end the broker.
      server.on("error", reject);
      server.listen(wanted, "127.0.0.1", () => {
        origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        resolve({ server, origin });
      });
    });
  return start(port).catch(() => start(0));
}

/** A lookup by digest takes a time that tells nothing about the value. */
const digestOf = (state: string): string => createHash("sha256").update(state).digest("base64");
