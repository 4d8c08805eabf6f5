/** The API with a real broker behind it, in this process: values are sealed into a temporary directory. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type Anthropic from "@anthropic-ai/sdk";
import type { CredentialVault } from "../../../../contract/vaults/broker_api.ts";
import { brokerVault } from "../../../../engine/broker/broker_vault.ts";
import { BrokerClient } from "../../../../harness/broker_client.ts";
import { MemoryRecords } from "../../../../session/records/memory_records.ts";
import type { Records } from "../../../../session/records/records.ts";
import type { Keys } from "../../../../vault/sealed/open_store.ts";
import { cheapPassphrase, fakeKeychain, keychainKeys } from "../../../../vault/sealed/testing/keys.ts";
import { LAUNCH_SECRET, type TestBroker, testBroker } from "../../../../vault/testing/broker_client.ts";
import { type Rig, startRig } from "../../../testing/rig.ts";

export type Vaults = Anthropic["beta"]["vaults"];
export type CredentialParams = Parameters<Vaults["credentials"]["create"]>[1];

export interface VaultRig extends AsyncDisposable {
  rig: Rig;
  vaults: Vaults;
  broker: TestBroker;
  records: Records;
  /** Path of the broker's file. */
  path: string;
  /** Its content; "" before there is one. */
  file: () => string;
  /** Ids of the values that are sealed. */
  sealed: () => string[];
  /** A fresh vault. */
  vault: () => Promise<string>;
}

export interface VaultRigOptions {
  keys?: Keys;
  records?: Records;
  /** Stands between the API and the broker. */
  around?: (vault: CredentialVault) => CredentialVault;
  data_dir?: string;
}

export async function startVaultRig(options: VaultRigOptions = {}): Promise<VaultRig> {
  const folder = options.data_dir ?? mkdtempSync(join(tmpdir(), "longhaul-vaults-"));
  const keys = options.keys ?? { keychain: keychainKeys(fakeKeychain()), passphrase: cheapPassphrase() };
  const broker = await testBroker({}, { keys }, folder);
  const client = new BrokerClient(() => ({ url: broker.url, launch_secret: LAUNCH_SECRET }));
  const records = options.records ?? new MemoryRecords();
  const vault = brokerVault(client);
  const rig = await startRig({ vault: options.around?.(vault) ?? vault, records });
  const { vaults } = rig.client.beta;
  const path = join(folder, "vault", "credentials.json");
  const file = (): string => {
    try {
      return readFileSync(path, "utf8");
    } catch {
      return "";
    }
  };
  return {
    rig,
    vaults,
    broker,
    records,
    path,
    file,
    sealed: () => {
      const text = file();
      if (text === "") return [];
      return (JSON.parse(text) as { records: { secret_id: string }[] }).records.map(({ secret_id }) => secret_id);
    },
    vault: async () => (await vaults.create({ display_name: "work" })).id,
    [Symbol.asyncDispose]: async () => {
      await rig[Symbol.asyncDispose]();
      client.dropConnections();
      await broker.close();
      if (options.data_dir === undefined) rmSync(folder, { recursive: true, force: true });
    },
  };
}

export const BEARER = {
  auth: { type: "static_bearer", mcp_server_url: "https://mcp.example.com/mcp", token: "canary-bearer-1" },
} satisfies CredentialParams;

export const OAUTH = {
  auth: {
    type: "mcp_oauth",
    mcp_server_url: "https://oauth.example.com/mcp",
    access_token: "canary-access-1",
    refresh: {
      client_id: "client-1",
      refresh_token: "canary-refresh-1",
      token_endpoint: "https://oauth.example.com/token",
      token_endpoint_auth: { type: "client_secret_basic", client_secret: "canary-client-1" },
      scope: "read write",
    },
  },
} satisfies CredentialParams;

export const VARIABLE = {
  auth: {
    type: "environment_variable",
    secret_name: "STRIPE_KEY",
    secret_value: "canary-variable-1",
    networking: { type: "limited", allowed_hosts: ["api.stripe.com", "*.stripe.com", "192.0.2.1"] },
  },
} satisfies CredentialParams;
