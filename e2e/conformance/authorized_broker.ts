/** A broker of its own with the engine's MCP client, and the person who signs in when a server wants it. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newId } from "../../main/contract/ids.ts";
import type { CredentialRef } from "../../main/contract/vaults/grants.ts";
import type { OAuthBegin, OAuthFlow } from "../../main/contract/vaults/oauth.ts";
import { issuerOf } from "../../main/contract/vaults/server_url.ts";
import { BrokerClient } from "../../main/harness/broker_client.ts";
import { BrokerMcp } from "../../main/tools/mcp/broker_mcp.ts";
import { McpError, type McpListing, type McpResult, type McpServerRef } from "../../main/tools/mcp/port.ts";
import { mcpServerId } from "../../main/tools/mcp/server_id.ts";
import { type Broker, startBroker } from "../../main/vault/broker.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "../../main/vault/sealed/testing/keys.ts";
import { VERSION } from "../../main/version.ts";

export interface Wanted {
  serverUrl: string;
  /** A client that was registered beforehand. */
  client: { client_id: string; client_secret: string | null } | null;
}

/** Of a person who is asked to sign in for one thing that they want. */
const MAX_SIGN_INS = 3;
const FLOW_MS = 60_000;
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
  readonly #ids = { vault_id: newId("vault"), credential_id: newId("credential") };
  #credential: CredentialRef | null = null;

  static async start(wanted: Wanted): Promise<AuthorizedBroker> {
    const folder = mkdtempSync(join(tmpdir(), "longhaul-conformance-"));
    const broker = await startBroker(
      { type: "boot", launch_secret: LAUNCH_SECRET, model: {}, data_dir: folder },
      {
        keys: { keychain: keychainKeys(fakeKeychain()), passphrase: cheapPassphrase() },
        // The suite's servers take it for a document that describes the client, and do not fetch it.
        oauth: { clientMetadataUrl: "https://conformance-test.local/client-metadata.json" },
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
    this.#mcp = new BrokerMcp({ access: this.#client, ensureGrants: () => this.#register(), version: VERSION });
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

  /** As a session does: what fails for want of a sign-in is done again after it. */
  async #signedIn<T>(work: () => Promise<T>): Promise<T> {
    for (let signIns = 0; ; signIns += 1) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof McpError) || error.kind !== "authentication" || signIns === MAX_SIGN_INS) throw error;
        console.log(`sign-in: ${error.message}`);
        await this.#signIn();
      }
    }
  }

  async #signIn(): Promise<void> {
    const flow_id = randomBytes(16).toString("hex");
    const ref = { ...this.#ids, secret_id: randomBytes(16).toString("hex") };
    const begin: OAuthBegin = {
      ...ref,
      flow_id,
      mcp_server_url: this.#server.url,
      scopes: null,
      client: this.#wanted.client,
    };
    const begun = (await this.#client.control("POST", "/control/oauth", begin, FLOW_MS)) as OAuthFlow;
    await visit(begun.authorization_url);
    let flow = begun;
    while (flow.state === "waiting") {
      flow = (await this.#client.control("GET", `/control/oauth/${flow_id}?wait_ms=5000`)) as OAuthFlow;
    }
    if (flow.state === "failed") throw new Error(`The sign-in failed: ${flow.message}`);
    this.#credential = { ...ref, issuer: issuerOf(flow.auth) };
    await this.#register();
  }
}

/** What the person's browser does: the authorization server of the suite agrees at once and sends it on. */
async function visit(address: string): Promise<void> {
  const page = await fetch(address);
  console.log(`browser: status ${page.status} of ${new URL(page.url).host}`);
}
