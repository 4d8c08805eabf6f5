/** HTTP to the broker: the control routes, and the capability token of each session. */
import { Agent, type IncomingMessage, request } from "node:http";
import type { BrokerAddress } from "../contract/process.ts";
import { PRINTS_HEADER } from "../contract/secrets/prints.ts";
import { ModelError } from "./model.ts";

const MAX_TEXT_BYTES = 64 * 1024;
const PRINTS_PATH = "/control/prints";
/** Milliseconds for a control route, which has nothing slow to do: a broker that hangs must hold up nobody for ever. */
const CONTROL_MS = 15_000;

export class BrokerClient {
  /** The broker as it is now: it moves when it is restarted. */
  readonly broker: () => BrokerAddress;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 32 });
  readonly #capabilities = new Map<string, { launch: string; token: string }>();
  #beforeBody: ((version: string) => Promise<void>) | null = null;

  constructor(broker: () => BrokerAddress) {
    this.broker = broker;
  }

  /**
   * No answer is handed on before `known` has resolved with the version of the prints that it was made under: what it
   * echoes is recognised then. A rejection fails the request.
   */
  waitForPrints(known: (version: string) => Promise<void>): void {
    this.#beforeBody = known;
  }

  /** The session's token. A restarted broker has forgotten its capabilities: fail closed there, ask anew here. */
  async capability(sessionId: string): Promise<string> {
    const { launch_secret } = this.broker();
    const known = this.#capabilities.get(sessionId);
    if (known?.launch === launch_secret) return known.token;
    const answer = (await this.control("POST", "/control/capabilities", { session_id: sessionId })) as {
      token: string;
    };
    this.#capabilities.set(sessionId, { launch: launch_secret, token: answer.token });
    return answer.token;
  }

  /** The token was refused; the next use asks for a new one. */
  forgetCapability(sessionId: string): void {
    this.#capabilities.delete(sessionId);
  }

  /** Ends what a session may use; its next request would ask for a new capability. */
  async revoke(sessionId: string): Promise<void> {
    this.forgetCapability(sessionId);
    await this.control("DELETE", `/control/capabilities/${encodeURIComponent(sessionId)}`);
  }

  /** A control route's answer, parsed. Rejects with {@link ModelError}, after {@link CONTROL_MS} at the latest. */
  async control(method: string, path: string, body?: unknown, limitMs = CONTROL_MS): Promise<unknown> {
    const late = AbortSignal.timeout(limitMs);
    try {
      return await this.#control(method, path, body, late);
    } catch (error) {
      if (!late.aborted) throw error;
      const text = `The credential broker did not answer ${method} ${path} within ${limitMs / 1000} s. Try again; if it goes on, start Longhaul again.`;
      throw new ModelError("failed", text);
    }
  }

  async #control(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const response = await this.roundTrip(
      method,
      path,
      { authorization: `Bearer ${this.broker().launch_secret}` },
      bytes,
      signal,
    );
    const text = await readText(response);
    if ((response.statusCode ?? 500) >= 300) {
      throw new ModelError("failed", `The broker refused ${method} ${path} (status ${response.statusCode}).`);
    }
    return text === "" ? null : JSON.parse(text);
  }

  /** Resolves when the response begins. Rejects with an AbortError or {@link ModelError}. */
  roundTrip(
    method: string,
    path: string,
    headers: Record<string, string>,
    body?: Buffer,
    signal?: AbortSignal,
  ): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const length =
        body === undefined ? {} : { "content-type": "application/json", "content-length": body.byteLength };
      const outgoing = request(new URL(path, this.broker().url), {
        method,
        agent: this.#agent,
        headers: { ...headers, ...length },
        ...(signal === undefined ? {} : { signal }),
      });
      outgoing.on("response", (response) => {
        const version = response.headers[PRINTS_HEADER];
        // The answer that brings prints cannot wait for them.
        if (this.#beforeBody === null || typeof version !== "string" || path.startsWith(PRINTS_PATH)) {
          return resolve(response);
        }
        this.#beforeBody(version).then(
          () => resolve(response),
          (error: unknown) => {
            response.destroy();
            reject(error);
          },
        );
      });
      outgoing.on("error", (error) => {
        if (signal?.aborted) reject(aborted());
        // The broker is on this machine: when it is away it is being restarted, which a short retry outlives.
        else
          reject(
            new ModelError("failed", `The credential broker did not answer (${error.message}). It is being restarted.`),
          );
      });
      outgoing.end(body);
    });
  }

  /** Closes the pooled connections to the broker. */
  dropConnections(): void {
    this.#agent.destroy();
  }
}

/** The first 64 KiB of a body. */
export function readText(response: IncomingMessage): Promise<string> {
  return readBody(response, MAX_TEXT_BYTES);
}

/** A body, or the whole chunks of it that fit into `maxBytes`. */
export async function readBody(response: IncomingMessage, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength;
    if (size > maxBytes) break;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

export function aborted(): Error {
  const error = new Error("The request was stopped.");
  error.name = "AbortError";
  return error;
}
