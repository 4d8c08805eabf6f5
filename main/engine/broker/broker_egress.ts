/** The way out of limited sandboxes over the broker's egress route. */
import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import type { BrokerClient } from "../../harness/broker_client.ts";
import { EgressRefused } from "../../sandbox/docker/network/refused.ts";
import type { EgressRoute, RoutePolicy } from "../../sandbox/docker/ports.ts";

/** Milliseconds in which the broker must answer; it gives a connection 20 s itself. */
const ANSWER_MS = 30_000;

/** A broker may have forgotten the session's capability, its policy and its grants. */
const ATTEMPTS = 4;
/** Making the certificate's key may ask a keychain, and that a person. */
const CERTIFICATE_MS = 60_000;

/** Refusals of the rules; the others are failures that trying again may overcome. */
const REFUSED = new Set(["host", "port", "address", "malformed", "policy_unknown"]);

interface Answer {
  response: IncomingMessage;
  socket: Duplex;
}

export class BrokerEgress implements EgressRoute {
  readonly #client: BrokerClient;
  /** Policy by session, and the launch of the broker that knows it: a restarted one knows none. */
  readonly #policies = new Map<string, { policy: RoutePolicy; launch: string | null }>();

  readonly #registerGrants: (sessionId: string) => Promise<void>;

  /**
   * @param client shared with the model route, so that a session has one capability
   * @param registerGrants tells the broker anew what a session may use; asked when a restarted one does not know
   */
  constructor(client: BrokerClient, registerGrants: (sessionId: string) => Promise<void> = () => Promise.resolve()) {
    this.#client = client;
    this.#registerGrants = registerGrants;
  }

  /** Rejects when the broker cannot be told; it then refuses, and the next connection tells it again. */
  async allow(sessionId: string, policy: RoutePolicy): Promise<void> {
    this.#policies.set(sessionId, { policy, launch: null });
    await this.#register(sessionId);
  }

  /** Rejects with ModelError. */
  async certificate(): Promise<string> {
    const answer = (await this.#client.control("GET", "/control/ca", undefined, CERTIFICATE_MS)) as {
      certificate: string;
    };
    return answer.certificate;
  }

  /** The session may use the route no more. */
  forget(sessionId: string): void {
    this.#policies.delete(sessionId);
  }

  /** Rejects with {@link EgressRefused} when the rules say no, else with an Error that says what failed. */
  async connect(sessionId: string, host: string, port: number): Promise<Duplex> {
    if (!this.#policies.has(sessionId)) throw new EgressRefused("No allow-list is known for this session.");
    for (let attempt = 1; ; attempt += 1) {
      await this.#register(sessionId);
      const { response, socket } = await this.#connect(sessionId, host, port);
      if (response.statusCode === 200) return socket;
      if (attempt === ATTEMPTS || !(await this.#renewed(sessionId, response))) throw refusalOf(response);
    }
  }

  /** True when the broker had forgotten the session; it is then told again. */
  async #renewed(sessionId: string, response: IncomingMessage): Promise<boolean> {
    const code = response.headers["longhaul-refused"];
    const known = this.#policies.get(sessionId);
    if (code === "grants_unknown") {
      await this.#registerGrants(sessionId);
      return true;
    }
    if (known === undefined || (code !== "capability" && code !== "policy_unknown")) return false;
    if (code === "capability") this.#client.forgetCapability(sessionId);
    known.launch = null;
    return true;
  }

  async #register(sessionId: string): Promise<void> {
    const known = this.#policies.get(sessionId);
    const { launch_secret } = this.#client.broker();
    if (known === undefined || known.launch === launch_secret) return;
    // An unrestricted sandbox has its own way out; without variables it gets nowhere through this one.
    if (known.policy.mode === "limited" || known.policy.intercept === true) {
      await this.#client.control("POST", "/control/egress", { session_id: sessionId, policy: known.policy });
    }
    known.launch = launch_secret;
  }

  async #connect(sessionId: string, host: string, port: number): Promise<Answer> {
    const token = await this.#client.capability(sessionId);
    const { hostname, port: brokerPort } = new URL(this.#client.broker().url);
    return new Promise((resolve, reject) => {
      const outgoing = request({
        method: "CONNECT",
        host: hostname,
        port: brokerPort,
        path: `${host}:${port}`,
        headers: { "proxy-authorization": `Bearer ${token}` },
        agent: false,
        timeout: ANSWER_MS,
      });
      outgoing.on("connect", (response, socket, head) => {
        socket.setTimeout(0);
        socket.setNoDelay(true);
        socket.on("error", () => socket.destroy());
        if (response.statusCode !== 200) socket.destroy();
        else if (head.length > 0) socket.unshift(head);
        resolve({ response, socket });
      });
      // Anything but an answer to CONNECT means that this is not our broker.
      outgoing.on("response", () => outgoing.destroy(new Error("no proxy answered")));
      outgoing.on("timeout", () => outgoing.destroy(new Error("it did not answer in time")));
      outgoing.on("error", (error) => {
        reject(new Error(`The credential broker, which holds the way out, failed (${error.message}). Try again.`));
      });
      outgoing.end();
    });
  }
}

function refusalOf(response: IncomingMessage): Error {
  const code = String(response.headers["longhaul-refused"] ?? "");
  const reason = String(response.headers["longhaul-reason"] ?? `The broker answered with ${response.statusCode}.`);
  return REFUSED.has(code) ? new EgressRefused(reason) : new Error(reason);
}
