/**
 * The library's transport, with what it leaves open closed: a request whose answer can no longer come fails at once, a
 * stopped request gives its stream back, and a server cannot make the client reconnect in a circle.
 */
import {
  type JSONRPCMessage,
  type JSONRPCRequest,
  type RequestId,
  StreamableHTTPClientTransport,
  type Transport,
  type TransportSendOptions,
} from "@modelcontextprotocol/client";
import { type BrokerRoute, brokerFetch, REQUEST_MARK } from "./broker_fetch.ts";

/** Code of the answer that is made up for a request whose answer is lost; not one of JSON-RPC's or MCP's. */
export const ANSWER_LOST = -1_000_001;
/** From this revision on there are no sessions, and each result names its type. */
const STATELESS = "2026-07-28";
const CLOSE_MS = 1_500;

type SendOptions = NonNullable<Parameters<StreamableHTTPClientTransport["send"]>[1]>;

export class McpTransport implements Transport {
  readonly hasPerRequestStream = true;
  onclose?: (() => void) | undefined;
  onerror?: ((error: Error) => void) | undefined;
  onmessage?: ((message: JSONRPCMessage) => void) | undefined;
  readonly #inner: StreamableHTTPClientTransport;
  readonly #waiting = new Map<RequestId, { stop: AbortController; streaming: boolean }>();
  readonly #reconnects = new Reconnects();
  #version = "";

  /**
   * @param reconnectMs before a stream that broke is taken up again, unless the server says how long
   * @param onQuiet the stream on which the server speaks unasked ended: something may have been missed
   */
  constructor(route: BrokerRoute, reconnectMs: number, onQuiet: () => void) {
    const fetch = brokerFetch(route, (mark, ended) => {
      const request = mark === null ? undefined : this.#waiting.get(asId(mark));
      if (request !== undefined) request.streaming = true;
      if (mark === null && ended) onQuiet();
    });
    // The address is never used: the fetch knows its server.
    this.#inner = new StreamableHTTPClientTransport(new URL("http://mcp.invalid/"), {
      fetch,
      redirectPolicy: "follow",
      onInsufficientScope: "throw",
      reconnectionOptions: {
        initialReconnectionDelay: reconnectMs,
        maxReconnectionDelay: 30_000,
        reconnectionDelayGrowFactor: 2,
        maxRetries: 5,
      },
      reconnectionScheduler: (reconnect, delay) => {
        const timer = setTimeout(reconnect, this.#reconnects.wait(delay));
        return () => clearTimeout(timer);
      },
    });
    this.#inner.onclose = () => this.onclose?.();
    this.#inner.onerror = (error) => this.onerror?.(error);
    this.#inner.onmessage = (message) => this.#receive(message);
  }

  get sessionId(): string | undefined {
    return this.#inner.sessionId;
  }

  setProtocolVersion = (version: string): void => {
    this.#version = version;
    this.#inner.setProtocolVersion(version);
  };

  start(): Promise<void> {
    return this.#inner.start();
  }

  async send(message: JSONRPCMessage, options: TransportSendOptions = {}): Promise<void> {
    if ("method" in message && "id" in message && message.id !== undefined) {
      return this.#sendRequest(message as JSONRPCRequest, options);
    }
    try {
      await this.#inner.send(message, options as SendOptions);
    } finally {
      const stopped = stoppedBy(message);
      if (stopped !== null) this.#forget(stopped)?.stop.abort();
    }
  }

  async close(): Promise<void> {
    for (const { stop } of this.#waiting.values()) stop.abort();
    this.#waiting.clear();
    await this.#inner.close();
  }

  /** Tells a server with sessions that this one is over, then closes. Takes {@link CLOSE_MS} at the most. */
  async leave(): Promise<void> {
    const late = new Promise<void>((resolve) => setTimeout(resolve, CLOSE_MS).unref());
    await Promise.race([this.#inner.terminateSession().catch(() => undefined), late]);
    await this.close();
  }

  async #sendRequest(message: JSONRPCRequest, options: TransportSendOptions): Promise<void> {
    const { id } = message;
    const waiting = { stop: new AbortController(), streaming: false };
    this.#waiting.set(id, waiting);
    const { requestSignal } = options;
    try {
      await this.#inner.send(message, {
        ...options,
        requestSignal:
          requestSignal === undefined ? waiting.stop.signal : AbortSignal.any([requestSignal, waiting.stop.signal]),
        headers: { ...options.headers, [REQUEST_MARK]: asMark(id) },
        onRequestStreamEnd: () => {
          options.onRequestStreamEnd?.();
          this.#lose(id, "The MCP server's stream ended before the answer came.");
        },
      } as SendOptions);
    } catch (error) {
      this.#forget(id);
      throw error;
    }
    if (!waiting.streaming) this.#lose(id, "The MCP server answered, but not to what it was asked.");
  }

  #receive(message: JSONRPCMessage): void {
    if (!("method" in message) && message.id !== undefined) {
      // An answer to nothing that was asked, or a second one.
      if (this.#forget(message.id) === undefined) return;
      this.onmessage?.(this.#withType(message));
      return;
    }
    this.onmessage?.(message);
  }

  /** A result that does not say its type is complete; the library would refuse it. */
  #withType(message: JSONRPCMessage): JSONRPCMessage {
    if (this.#version < STATELESS || !("result" in message) || "resultType" in message.result) return message;
    return { ...message, result: { ...message.result, resultType: "complete" } };
  }

  #lose(id: RequestId, text: string): void {
    if (this.#forget(id) === undefined) return;
    this.onmessage?.({ jsonrpc: "2.0", id, error: { code: ANSWER_LOST, message: text } });
  }

  #forget(id: RequestId): { stop: AbortController } | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }
}

/** How long to wait before a stream is opened again: as the server asks, within reason. */
class Reconnects {
  #recent: number[] = [];

  wait(asked: number): number {
    const now = Date.now();
    this.#recent = [...this.#recent.filter((time) => time > now - 60_000), now];
    const least = this.#recent.length > 20 ? 10_000 : 50;
    return Math.min(Math.max(asked, least), 600_000);
  }
}

function stoppedBy(message: JSONRPCMessage): RequestId | null {
  if (!("method" in message) || message.method !== "notifications/cancelled") return null;
  const id = (message.params as { requestId?: unknown } | undefined)?.requestId;
  return typeof id === "string" || typeof id === "number" ? id : null;
}

const asMark = (id: RequestId): string => (typeof id === "number" ? `n${id}` : `s${id}`);
const asId = (mark: string): RequestId => (mark.startsWith("n") ? Number(mark.slice(1)) : mark.slice(1));
