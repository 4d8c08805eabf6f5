/** P4: secrets that were handed to the product are in none of its files, answers, logs or environments. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type McpServer, sendJson, startMcpServer } from "../main/vault/credentials/testing/mcp_server.ts";
import { type Product, removeDir, run, serve, until } from "./product/serve.ts";

const PASSPHRASE = "canary-passphrase-5c1d";
const CANARIES = {
  bearer: "canary-bearer-91aa",
  access: "canary-access-23bc",
  refresh: "canary-refresh-77de",
  client: "canary-client-40ff",
  variable: "canary-variable-8e02",
  renewed: "canary-renewed-6b6b",
  replaced: "canary-replaced-1f1f",
  passphrase: PASSPHRASE,
};

let mcp: McpServer;
let product: Product;
beforeAll(async () => {
  mcp = await startMcpServer();
  mcp.token = (_, response) => sendJson(response, 200, { access_token: CANARIES.renewed, expires_in: 3600 });
  product = await serve({ env: { LONGHAUL_VAULT_PASSPHRASE: PASSPHRASE, LONGHAUL_LOG_LEVEL: "trace" } });
});
afterAll(async () => {
  await product.stop();
  mcp.close();
  removeDir(product.data_dir);
});

/** Names of the canaries in `bytes`, in any form in which they could have been written down. */
function canariesIn(bytes: Buffer): string[] {
  return Object.entries(CANARIES).flatMap(([name, value]) => {
    // Base64 depends on where in a longer text the value begins.
    const base64 = [0, 1, 2].map((shift) =>
      Buffer.from(`${"x".repeat(shift)}${value}`)
        .toString("base64")
        .slice(shift === 0 ? 0 : 4, -4),
    );
    const forms = [value, encodeURIComponent(value), Buffer.from(value).toString("hex"), ...base64];
    const utf16 = Buffer.from(value, "utf16le");
    return bytes.includes(utf16) || forms.some((form) => bytes.includes(form)) ? [name] : [];
  });
}

/** Null for what is no file, and for one that a process at work has removed since it was listed. */
function contentOf(path: string): Buffer | null {
  try {
    return statSync(path).isFile() ? readFileSync(path) : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}

/** Canaries by file of the data directory: database, write-ahead log, blobs, vault, whatever is there. */
function canariesInFiles(): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const name of readdirSync(product.data_dir, { recursive: true, encoding: "utf8" })) {
    const path = join(product.data_dir, name);
    const bytes = contentOf(path);
    if (bytes === null) continue;
    const canaries = canariesIn(bytes);
    if (canaries.length > 0) found[name] = canaries;
  }
  return found;
}

test("canary secrets of each kind are found nowhere, and planted ones are", async () => {
  const { vaults, sessions } = product.client.beta;
  const answers: unknown[] = [];
  const vault = await vaults.create({ display_name: "work" });
  const bearer = await vaults.credentials.create(vault.id, {
    auth: { type: "static_bearer", mcp_server_url: "https://mcp.example.com/", token: CANARIES.bearer },
  });
  const oauth = await vaults.credentials.create(vault.id, {
    auth: {
      type: "mcp_oauth",
      mcp_server_url: mcp.url,
      access_token: CANARIES.access,
      refresh: {
        client_id: "client",
        refresh_token: CANARIES.refresh,
        token_endpoint: mcp.token_endpoint,
        token_endpoint_auth: { type: "client_secret_basic", client_secret: CANARIES.client },
      },
    },
  });
  const variable = await vaults.credentials.create(vault.id, {
    auth: {
      type: "environment_variable",
      secret_name: "API_KEY",
      secret_value: CANARIES.variable,
      networking: { type: "limited", allowed_hosts: ["api.example.com"] },
    },
  });
  answers.push(bearer, oauth, variable);

  // A wrong request with a secret in it is refused, and forgotten.
  const refused = await vaults.credentials
    .create(vault.id, { auth: { type: "static_bearer", mcp_server_url: "nonsense", token: CANARIES.bearer } })
    .catch((error: Error) => error);
  answers.push(String(refused), JSON.stringify(refused));
  expect(String(refused)).toContain("`auth.mcp_server_url`");

  // Refreshed by the broker, replaced by the person, archived.
  mcp.accepted.add(CANARIES.renewed);
  const validated = await vaults.credentials.mcpOAuthValidate(oauth.id, { vault_id: vault.id });
  expect(validated).toMatchObject({ status: "valid", refresh: { status: "succeeded" } });
  const replaced = await vaults.credentials.update(bearer.id, {
    vault_id: vault.id,
    auth: { type: "static_bearer", token: CANARIES.replaced },
  });
  answers.push(validated, replaced, await vaults.credentials.archive(variable.id, { vault_id: vault.id }));

  // A session with the vault, to its end.
  const environment = await product.client.beta.environments.create({ name: "e" });
  const agent = await product.client.beta.agents.create({
    name: "a",
    model: "claude-opus-5-5",
    tools: [{ type: "agent_toolset_20260401" }],
  });
  const session = await sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    vault_ids: [vault.id],
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Print your environment." }] }],
  });
  expect(session.vault_ids).toEqual([vault.id]);
  await until("the session rests", async () => (await sessions.retrieve(session.id)).status === "idle");
  answers.push(await sessions.retrieve(session.id), (await sessions.events.list(session.id)).data);
  answers.push(await product.local("/health"), (await vaults.credentials.list(vault.id)).data);
  const doctor = await run(["doctor", "--data-dir", product.data_dir]);
  expect(doctor.stdout).toMatch(/keychain +Credentials are sealed with the passphrase/);

  if (process.platform === "linux") {
    expect(canariesIn(readFileSync(`/proc/${product.pid}/environ`))).toEqual([]);
    expect(canariesIn(readFileSync(`/proc/${product.broker_pid}/environ`))).toEqual([]);
  }

  // The broker dies and comes back: the values are still there, and still nowhere else.
  process.kill(product.broker_pid, "SIGKILL");
  const after = await until("the broker is back", () =>
    vaults.credentials.mcpOAuthValidate(oauth.id, { vault_id: vault.id }).catch(() => null),
  );
  expect(after).toMatchObject({ status: "valid", refresh: null });
  answers.push(after);

  expect(canariesInFiles()).toEqual({});
  expect(canariesIn(Buffer.from(JSON.stringify(answers)))).toEqual([]);
  expect(canariesIn(Buffer.from(doctor.stdout + doctor.stderr + product.stderr()))).toEqual([]);

  // The search finds what is there: one in a setting of the person's own, one in a file of theirs, one in an answer.
  await product.client.beta.agents.create({ name: "planted", model: "claude-opus-5-5", system: CANARIES.client });
  const large = `${"x".repeat(100_000)}${CANARIES.variable}`;
  await product.client.beta.files.upload({ file: new File([large], "planted.txt") });
  const planted = canariesInFiles();
  expect(Object.values(planted).flat()).toEqual(expect.arrayContaining(["client", "variable"]));
  expect(Object.keys(planted).some((name) => /ledger|\.db|sqlite/.test(name))).toBe(true);
  const encoded = Buffer.from(`prefix:${CANARIES.refresh}:suffix`).toString("base64");
  expect(canariesIn(Buffer.from(encoded))).toEqual(["refresh"]);
});
