/** The way out of limited sandboxes over the broker's egress route. */
import { type IncomingMessage, request } from "node:http";
import type { Duplex } from "node:stream";
import type { BrokerClient } from "../harness/broker_client.ts";
import { EgressRefused } from "../sandbox/docker/network/refused.ts";
import type { EgressPolicy, EgressRoute } from "../sandbox/docker/ports.ts";

/** Milliseconds in which the broker must answer; it gives a connection 20 s itself. */
const ANSWER_MS = 30_000;

/** Refusals of the rules; the others are failures that trying again may overcome. */
const REFUSED = new Set(["host", "port", "address", "malformed", "policy_unknown"]);

interface Answer {
  response: IncomingMessage;
  socket: Duplex;
}

export class BrokerEgress implements EgressRoute {
  readonly #client: BrokerClient;
  /** Policy by session, and the launch of the broker that knows it: a restarted one knows none. */
  readonly #policies = new Map<string, { policy: EgressPolicy; launch: string | null }>();

  /** @param client shared with the model route, so that a session has one capability */
  constructor(client: BrokerClient) {
    this.#client = client;
  }

  /** Rejects when the broker cannot be told; it then refuses, and the next connection tells it again. */
  async allow(sessionId: string, policy: EgressPolicy): Promise<void> {
    this.#policies.set(sessionId, { policy, launch: null });
    await this.#register(sessionId);
  }

  /** The session may use the route no more. */
  forget(sessionId: string): void {
    this.#policies.delete(sessionId);
  }

  /** Rejects with {@link EgressRefused} when the rules say no, else with an Error that says what failed. */
  async connect(sessionId: string, host: string, port: number): Promise<Duplex> {
    if (!this.#policies.has(sessionId)) throw new EgressRefused("No allow-list is known for this session.");
    await this.#register(sessionId);
    const first = await this.#connect(sessionId, host, port);
    if (first.response.statusCode === 200) return first.socket;
    if (!this.#renewable(sessionId, first.response)) throw refusalOf(first.response);
    await this.#register(sessionId);
    const second = await this.#connect(sessionId, host, port);
    if (second.response.statusCode === 200) return second.socket;
    throw refusalOf(second.response);
  }

  /** True when the broker had forgotten the session; it is then told again. */
  #renewable(sessionId: string, response: IncomingMessage): boolean {
    const code = response.headers["longhaul-refused"];
    const known = this.#policies.get(sessionId);
    if (known === undefined || (code !== "capability" && code !== "policy_unknown")) return false;
    if (code === "capability") this.#client.forgetCapability(sessionId);
    known.launch = null;
    return true;
  }

  async #register(sessionId: string): Promise<void> {
    const known = this.#policies.get(sessionId);
    const { launch_secret } = this.#client.broker();
    if (known === undefined || known.launch === launch_secret) return;
    // An unrestricted sandbox has its own way out; through this one it gets nowhere.
    if (known.policy.mode === "limited") {
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
