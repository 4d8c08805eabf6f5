/** One session's connection to one MCP server: opened when needed, given up when it is lost. */
import { type Client, ProtocolError, type Tool } from "@modelcontextprotocol/client";
import { listTools } from "./content/listing.ts";
import { refusedCall, toResult } from "./content/results.ts";
import { asMcpError, isLostSession, notSent } from "./failure.ts";
import { type ConnectionOptions, type Open, openClient } from "./open_client.ts";
import { type McpCall, McpError, type McpListing, type McpResult } from "./port.ts";
import { ProgressLines, progressText } from "./progress.ts";
import { aborted } from "./transport/broker_fetch.ts";
import { ANSWER_LOST } from "./transport/mcp_transport.ts";

/** Arguments that are sent as headers do not agree with what the server has now: it did not look at the request. */
const HEADER_MISMATCH = -32_020;
/** How long the first list waits for the subscription to its changes. */
const SUBSCRIBE_MS = 2_000;

export class Connection {
  readonly #options: ConnectionOptions;
  #opening: Promise<Open> | null = null;
  #open: Open | null = null;
  #listing: McpListing | null = null;
  #listInFlight: Promise<McpListing> | null = null;
  #definitions: ReadonlyMap<string, Tool> = new Map();
  /** Grows when the server says that its tools changed, or may have said so unheard. */
  #changes = 0;
  #listedAt = -1;
  #subscribed: Promise<unknown> | null = null;
  readonly #calls = new Set<ProgressLines>();
  #idle: NodeJS.Timeout | null = null;
  #users = 0;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get stale(): boolean {
    return this.#listing === null || this.#open === null || this.#listedAt !== this.#changes;
  }

  /** True when the server has said, or may have said unheard, that what was listed has changed. */
  get changed(): boolean {
    return this.#listing !== null && this.#listedAt !== this.#changes;
  }

  /** Rejects with {@link McpError} or an AbortError. */
  async list(signal: AbortSignal, fresh: boolean): Promise<McpListing> {
    if (signal.aborted) throw aborted();
    if (!fresh && !this.stale && this.#listing !== null) return this.#listing;
    // One of several threads that ask at once must not take the others along when it is stopped.
    return this.#using(() => stoppable(this.#list(), signal));
  }

  /** Rejects with {@link McpError} or an AbortError. */
  async call(call: McpCall, signal: AbortSignal, onProgress: (text: string) => void): Promise<McpResult> {
    if (signal.aborted) throw aborted();
    const lines = new ProgressLines(onProgress);
    this.#calls.add(lines);
    try {
      return await this.#using(() => this.#call(call, signal, lines));
    } finally {
      this.#calls.delete(lines);
      if (!signal.aborted) lines.flush();
    }
  }

  /** Ends it; what is in flight fails. A server with sessions is told when `politely`. */
  async close(politely: boolean): Promise<void> {
    this.#closed = true;
    if (this.#idle !== null) clearTimeout(this.#idle);
    const open = this.#open ?? (await this.#opening?.catch(() => null)) ?? null;
    this.#lost(open);
    if (open === null) return;
    if (politely) await open.transport.leave().catch(() => undefined);
    await open.client.close().catch(() => undefined);
  }

  async #using<T>(work: () => Promise<T>): Promise<T> {
    if (this.#closed) throw new McpError("connection", "no", "The connection to the MCP server was closed.");
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#users += 1;
    try {
      return await work();
    } finally {
      this.#users -= 1;
      if (this.#users === 0 && !this.#closed) {
        this.#idle = setTimeout(() => this.#goIdle(), this.#options.limits.idleMs);
        this.#idle.unref();
      }
    }
  }

  #goIdle(): void {
    const open = this.#open;
    this.#lost(open);
    if (open !== null) void open.transport.leave().catch(() => undefined);
  }

  async #call(call: McpCall, signal: AbortSignal, lines: ProgressLines): Promise<McpResult> {
    for (let again = false; ; again = true) {
      const open = await stoppable(this.#connected(), signal).catch((error: unknown) => {
        throw error instanceof McpError ? notSent(error) : error;
      });
      try {
        return toResult(await this.#send(open.client, call, signal, lines));
      } catch (error) {
        if (signal.aborted) throw aborted();
        if (!again && (await this.#mended(open, error, signal))) continue;
        if (error instanceof ProtocolError && error.code !== ANSWER_LOST) {
          return refusedCall(refusalText(error), error.code);
        }
        throw asMcpError(error, this.#options.serverName);
      }
    }
  }

  #send(client: Client, call: McpCall, signal: AbortSignal, lines: ProgressLines) {
    const { silenceMs, callMs } = this.#options.limits;
    return client.callTool(
      { name: call.tool, arguments: call.input, _meta: { "longhaul/tool_use_id": call.tool_use_id } },
      {
        signal,
        timeout: silenceMs,
        maxTotalTimeout: callMs,
        resetTimeoutOnProgress: true,
        onprogress: (progress) => lines.say(progressText(progress)),
        // Without the output schema: a result that does not fit it is the tool's all the same, and the tool has run.
        toolDefinition: this.#definitions.get(call.tool) ?? { name: call.tool, inputSchema: { type: "object" } },
      },
    );
  }

  /** True when the server certainly did not run the call, and what kept it from that is mended. */
  async #mended(open: Open, error: unknown, signal: AbortSignal): Promise<boolean> {
    if (open.transport.sessionId !== undefined && isLostSession(error)) {
      this.#lost(open);
      void open.client.close().catch(() => undefined);
      return true;
    }
    if (!(error instanceof ProtocolError) || error.code !== HEADER_MISMATCH) return false;
    await stoppable(this.#list(), signal);
    return true;
  }

  #list(): Promise<McpListing> {
    this.#listInFlight ??= this.#fetchList().finally(() => {
      this.#listInFlight = null;
    });
    return this.#listInFlight;
  }

  async #fetchList(): Promise<McpListing> {
    for (let again = false; ; again = true) {
      const open = await this.#connected();
      await this.#subscribe(open);
      const changes = this.#changes;
      try {
        const { listing, definitions } = await listTools(open.client, { timeout: this.#options.limits.listMs });
        if (this.#open !== open) continue;
        this.#listing = listing;
        this.#definitions = definitions;
        this.#listedAt = changes;
        return listing;
      } catch (error) {
        if (again || open.transport.sessionId === undefined || !isLostSession(error)) {
          throw asMcpError(error, this.#options.serverName);
        }
        this.#lost(open);
        void open.client.close().catch(() => undefined);
      }
    }
  }

  /** Without sessions, changes come over a subscription; one that ended is made again with the next list. */
  async #subscribe({ client }: Open): Promise<void> {
    if (client.getProtocolEra() !== "modern" || client.getServerCapabilities()?.tools?.listChanged !== true) return;
    this.#subscribed ??= this.#listen(client);
    await Promise.race([this.#subscribed, new Promise((resolve) => setTimeout(resolve, SUBSCRIBE_MS).unref())]);
  }

  async #listen(client: Client): Promise<void> {
    const gone = (): void => {
      if (this.#open?.client !== client) return;
      this.#changes += 1;
      this.#subscribed = null;
    };
    try {
      const subscription = await client.listen({ toolsListChanged: true }, { timeout: this.#options.limits.listMs });
      void subscription.closed.then((why) => why !== "local" && gone());
    } catch {
      // The list is right as it is fetched; only its changes go unheard.
    }
  }

  /** Rejects with {@link McpError}. */
  #connected(): Promise<Open> {
    if (this.#open !== null) return Promise.resolve(this.#open);
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #connect(): Promise<Open> {
    const open = await openClient(this.#options, {
      onQuiet: (transport) => {
        if (this.#open?.transport === transport) this.#changes += 1;
      },
      onToolsChanged: () => {
        this.#changes += 1;
      },
      onMessage: (text) => this.#tell(text),
      onClose: (client) => this.#lost(this.#open?.client === client ? this.#open : null),
    });
    if (this.#closed) {
      await open.client.close().catch(() => undefined);
      throw new McpError("connection", "no", "The connection to the MCP server was closed.");
    }
    this.#open = open;
    return open;
  }

  /** Which call a message belongs to is not said by all servers: every call in flight is told. */
  #tell(text: string): void {
    for (const lines of this.#calls) lines.say(text);
  }

  #lost(open: Open | null): void {
    if (open === null || this.#open !== open) return;
    this.#open = null;
    this.#subscribed = null;
  }
}

/** The promise's outcome, or an AbortError as soon as `signal` aborts. */
function stoppable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(aborted());
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** With the addresses that the server wants a person to open, if there are any. */
function refusalText(error: ProtocolError): string {
  const wanted = (error.data as { elicitations?: unknown } | undefined)?.elicitations;
  if (!Array.isArray(wanted)) return error.message;
  const urls = wanted.flatMap((one: { url?: unknown }) => (typeof one?.url === "string" ? [one.url] : []));
  return urls.length === 0 ? error.message : `${error.message}. The user must open ${urls.slice(0, 5).join(", ")}`;
}
