/** MCP servers through the broker: the engine's side, which holds no credential. */
import type { Connection } from "./connection.ts";
import type { McpLimits } from "./open_client.ts";
import { type McpCall, McpError, type McpListing, type McpResult, type McpServerRef, type McpTools } from "./port.ts";
import type { BrokerAccess } from "./transport/broker_fetch.ts";

export interface BrokerMcpOptions {
  access: BrokerAccess;
  /** Registers with the broker what the session may use; called when the broker does not know it. */
  ensureGrants: (sessionId: string) => Promise<void>;
  /** Of the product, as servers are told it. */
  version: string;
  limits?: Partial<McpLimits>;
}

const LIMITS: McpLimits = {
  connectMs: 30_000,
  listMs: 30_000,
  silenceMs: 10 * 60_000,
  callMs: 2 * 60 * 60_000,
  idleMs: 10 * 60_000,
  reconnectMs: 500,
};

export class BrokerMcp implements McpTools {
  readonly #options: BrokerMcpOptions;
  /** By session, then by the server's address. */
  readonly #sessions = new Map<string, Map<string, Connection>>();
  #closed = false;

  constructor(options: BrokerMcpOptions) {
    this.#options = options;
  }

  async list(sessionId: string, server: McpServerRef, signal: AbortSignal, fresh = false): Promise<McpListing> {
    return (await this.#connection(sessionId, server)).list(signal, fresh);
  }

  hasChanged(sessionId: string, server: McpServerRef): boolean {
    return this.#sessions.get(sessionId)?.get(server.url)?.changed ?? false;
  }

  async call(call: McpCall, signal: AbortSignal, onProgress: (text: string) => void): Promise<McpResult> {
    return (await this.#connection(call.session_id, call.server)).call(call, signal, onProgress);
  }

  drop(sessionId: string): void {
    const connections = this.#sessions.get(sessionId);
    this.#sessions.delete(sessionId);
    for (const connection of connections?.values() ?? []) void connection.close(true);
  }

  dropConnections(): void {
    const all = this.#all();
    this.#sessions.clear();
    for (const connection of all) void connection.close(false);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const all = this.#all();
    this.#sessions.clear();
    await Promise.all(all.map((connection) => connection.close(true)));
  }

  #all(): Connection[] {
    return [...this.#sessions.values()].flatMap((connections) => [...connections.values()]);
  }

  async #connection(sessionId: string, server: McpServerRef): Promise<Connection> {
    // The protocol's package is large: an engine whose sessions have no MCP servers starts without it.
    const { Connection } = await import("./connection.ts");
    if (this.#closed)
      throw new McpError("connection", "no", "MCP servers are no longer reached: the engine is ending.");
    const connections = this.#sessions.get(sessionId) ?? new Map<string, Connection>();
    this.#sessions.set(sessionId, connections);
    const known = connections.get(server.url);
    if (known !== undefined) return known;
    const { access, ensureGrants, limits, version } = this.#options;
    const made = new Connection({
      route: { access, sessionId, serverUrl: server.url, ensureGrants },
      serverName: server.name,
      version,
      limits: { ...LIMITS, ...limits },
    });
    connections.set(server.url, made);
    return made;
  }
}
