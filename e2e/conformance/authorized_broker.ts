/** A broker of its own with the engine's MCP client, and the person who signs in when a server wants it. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "../../main/contract/ids.ts";
import type { CredentialRef } from "../../main/contract/vaults/grants.ts";
import { BrokerClient } from "../../main/harness/broker_client.ts";
import { BrokerMcp } from "../../main/tools/mcp/broker_mcp.ts";
import { McpError, type McpListing, type McpResult, type McpServerRef } from "../../main/tools/mcp/port.ts";
import { mcpServerId } from "../../main/tools/mcp/server_id.ts";
import { type Broker, startBroker } from "../../main/vault/broker.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "../../main/vault/sealed/testing/keys.ts";

export interface Wanted {
  serverUrl: string;
  /** A client that was registered beforehand. */
  client: { client_id: string; client_secret: string | null } | null;
}

const LAUNCH_SECRET = "c0".repeat(32);
const never = new AbortController().signal;

export class AuthorizedBroker {
  readonly #wanted: Wanted;
  readonly #folder: string;
  readonly #broker: Broker;
  readonly #client: BrokerClient;
  readonly #mcp: BrokerMcp;
  readonly #server: McpServerRef;
  readonly #sessionId = newId("session");
  #credential: CredentialRef | null = null;

  static async start(wanted: Wanted): Promise<AuthorizedBroker> {
    const folder = mkdtempSync(join(tmpdir(), "longhaul-conformance-"));
    const broker = await startBroker(
      { type: "boot", launch_secret: LAUNCH_SECRET, model: {}, data_dir: folder },
      {
        keys: { keychain: keychainKeys(fakeKeychain()), passphrase: cheapPassphrase() },
        writeLog: (line) => process.stderr.write(line),
      },
    );
    return new AuthorizedBroker(wanted, folder, broker);
  }

  private constructor(wanted: Wanted, folder: string, broker: Broker) {
    this.#wanted = wanted;
    this.#folder = folder;
    this.#broker = broker;
    this.#server = { name: "conformance", url: wanted.serverUrl };
    this.#client = new BrokerClient(() => ({ url: broker.url, launch_secret: LAUNCH_SECRET }));
    this.#mcp = new BrokerMcp({ access: this.#client, ensureGrants: () => this.#register() });
  }

  list(): Promise<McpListing> {
    return this.#signedIn(() => this.#mcp.list(this.#sessionId, this.#server, never));
  }

  call(tool: string, input: Record<string, unknown>): Promise<McpResult> {
    const call = { session_id: this.#sessionId, server: this.#server, tool, input, tool_use_id: `toolu_${tool}` };
    return this.#signedIn(() => this.#mcp.call(call, never, (line) => console.log(`progress: ${line}`)));
  }

  async stop(): Promise<void> {
    await this.#mcp.close();
    await this.#broker.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #register(): Promise<void> {
    const { url } = this.#server;
    const mcp_servers = [{ id: mcpServerId(url), url, credential: this.#credential }];
    const grants = { mcp_servers, repositories: [], variables: [] };
    await this.#client.control("POST", "/control/grants", { session_id: this.#sessionId, grants });
  }

  async #signedIn<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof McpError) || error.kind !== "authentication") throw error;
      throw error;
    }
  }
}
