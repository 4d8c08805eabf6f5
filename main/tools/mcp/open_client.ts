/** Greets a server in whichever generation of the protocol it speaks. */
import { Client, type ConnectOptions } from "@modelcontextprotocol/client";
import { answerElicitation, elicitationText } from "./elicitation.ts";
import { asMcpError, isUndecided } from "./failure.ts";
import { logText } from "./progress.ts";
import type { BrokerRoute } from "./transport/broker_fetch.ts";
import { McpTransport } from "./transport/mcp_transport.ts";

export interface ConnectionOptions {
  route: BrokerRoute;
  /** For people. */
  serverName: string;
  /** Of the product, as servers are told it. */
  version: string;
  limits: McpLimits;
}

/** Milliseconds. */
export interface McpLimits {
  connectMs: number;
  /** For one page of the list. */
  listMs: number;
  /** A call without an answer or any progress. */
  silenceMs: number;
  /** A call in all. */
  callMs: number;
  /** A connection without calls. */
  idleMs: number;
  /** Before a stream that broke is taken up again; doubled each time, five times. */
  reconnectMs: number;
}

export interface Open {
  client: Client;
  transport: McpTransport;
}

export interface Listeners {
  /** The stream on which the server speaks unasked ended: something may have been missed. */
  onQuiet: (transport: McpTransport) => void;
  onToolsChanged: () => void;
  /** A log message of the server, or a question to the person and what was answered; one line. */
  onMessage: (text: string) => void;
  onClose: (client: Client) => void;
}

/** Rejects with {@link McpError}. */
export async function openClient(options: ConnectionOptions, listeners: Listeners): Promise<Open> {
  try {
    return await connect(options, listeners, {});
  } catch (error) {
    if (!isUndecided(error)) throw asMcpError(error, options.serverName);
  }
  try {
    // Some servers of the older generation answer the question for the newer one with a failure.
    return await connect(options, listeners, { prior: { kind: "legacy" } });
  } catch (error) {
    throw asMcpError(error, options.serverName);
  }
}

async function connect(options: ConnectionOptions, listeners: Listeners, how: ConnectOptions): Promise<Open> {
  const { route, limits, version } = options;
  const transport = new McpTransport(route, limits.reconnectMs, () => listeners.onQuiet(transport));
  const client = new Client(
    { name: "longhaul", title: "Longhaul", version },
    {
      // Neither sampling nor roots: a server gets no model of the session's, and there are no folders of the person's.
      capabilities: { elicitation: { form: { applyDefaults: true } } },
      versionNegotiation: { mode: "auto" },
    },
  );
  client.setRequestHandler("elicitation/create", ({ params }) => {
    const answer = answerElicitation(params);
    listeners.onMessage(elicitationText(params, answer));
    return answer;
  });
  client.setNotificationHandler("notifications/message", ({ params }) => listeners.onMessage(logText(params)));
  client.setNotificationHandler("notifications/tools/list_changed", () => listeners.onToolsChanged());
  try {
    await client.connect(transport, { ...how, timeout: limits.connectMs });
  } catch (error) {
    await transport.close().catch(() => undefined);
    throw error;
  }
  client.onclose = () => listeners.onClose(client);
  return { client, transport };
}
