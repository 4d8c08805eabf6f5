/** A real broker with the client in front of it, and grants for the servers that a test names. */
import type { McpGrant } from "../../../contract/vaults/grants.ts";
import { BrokerClient } from "../../../harness/broker_client.ts";
import type { BrokerOptions } from "../../../vault/broker.ts";
import { LAUNCH_SECRET, stopBrokers, type TestBroker, testBroker } from "../../../vault/testing/broker_client.ts";
import { BrokerMcp, type BrokerMcpOptions } from "../broker_mcp.ts";
import type { McpCall, McpServerRef } from "../port.ts";
import { mcpServerId } from "../server_id.ts";

export interface TestMcp {
  mcp: BrokerMcp;
  broker: TestBroker;
  sessionId: string;
  /** Times that the client asked for its grants to be registered. */
  registrations: () => number;
  /** Grants the session this server, with the next registration. */
  server(url: string): McpServerRef;
  call(server: McpServerRef, tool: string, input?: Record<string, unknown>): McpCall;
  /** As after a crash: another broker under another address, which knows nothing. */
  restartBroker(): Promise<void>;
}

const clients: BrokerMcp[] = [];

export async function stopMcp(): Promise<void> {
  await Promise.all(clients.splice(0).map((mcp) => mcp.close()));
  await stopBrokers();
}

export async function testMcp(options: Partial<BrokerMcpOptions> = {}, broker: BrokerOptions = {}): Promise<TestMcp> {
  let running = await testBroker({}, broker);
  const { sessionId } = running;
  const mcp_servers: McpGrant[] = [];
  let registrations = 0;
  let uses = 0;
  const mcp = new BrokerMcp({
    access: new BrokerClient(() => ({ url: running.url, launch_secret: LAUNCH_SECRET })),
    ensureGrants: async (session_id) => {
      registrations += 1;
      const grants = { mcp_servers, repositories: [], variables: [] };
      const answer = await running.control("POST", "grants", { session_id, grants });
      if (answer.status !== 204) throw new Error(`grants refused: ${await answer.text()}`);
    },
    version: "0.0.0",
    ...options,
  });
  clients.push(mcp);
  return {
    mcp,
    get broker() {
      return running;
    },
    sessionId,
    registrations: () => registrations,
    server: (url) => {
      mcp_servers.push({ id: mcpServerId(url), url, credential: null });
      return { name: "under test", url };
    },
    call: (server, tool, input = {}) => {
      uses += 1;
      return { session_id: sessionId, server, tool, input, tool_use_id: `toolu_${uses}` };
    },
    restartBroker: async () => {
      await running.close();
      running = await testBroker({}, broker);
    },
  };
}
