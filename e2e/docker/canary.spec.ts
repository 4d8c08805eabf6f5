/** P4 seen from the container engine: a sandbox of a session with stored credentials holds none of them. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Canaries, canariesIn } from "../canary/search.ts";
import { type Spied, serveSpied } from "../canary/spied.ts";
import { call, say } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { removeDir, tempDir, until } from "../product/serve.ts";
import { eventsOf } from "../product/sessions.ts";
import { containerOf, docker, dockerEnv, removeInstall } from "./product.ts";

const GIVEN = {
  "model key": "sk-ant-canary-model-0123456789",
  "vault passphrase": "canary passphrase 5c1d of it",
  "static bearer": "canary-bearer-91aa-0123456789",
  "MCP access token": "canary-access-23bc-0123456789",
  "MCP refresh token": "canary-refresh-77de-0123456789",
  "MCP client secret": "canary-client-40ff-0123456789",
  "environment secret": "canary-variable-8e02-0123456789",
};
const LOOK =
  "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null; find / -xdev -name '*longhaul*' 2>/dev/null; echo looked";

let scratch: string;
let model: ModelServer;
let spied: Spied;

beforeAll(async () => {
  scratch = tempDir();
  model = await startModelServer({
    script: ({ turn }) => (turn === 0 ? call({ name: "bash", input: { command: LOOK } }) : say("Done.")),
    apiKey: GIVEN["model key"],
  });
  const env = { ...dockerEnv(), LONGHAUL_VAULT_PASSPHRASE: GIVEN["vault passphrase"], LONGHAUL_LOG_LEVEL: "trace" };
  spied = await serveSpied(scratch, { model, env });
});
afterAll(async () => {
  await spied?.product.stop();
  await model?.close();
  if (spied !== undefined) {
    await removeInstall(spied.product.data_dir);
    removeDir(spied.product.data_dir);
  }
  removeDir(scratch);
});

/** What a container's disk has that its image has not, and what it keeps in memory, as one archive. */
async function diskOf(container: string): Promise<Buffer> {
  const lines = (await docker("diff", container)).split("\n").filter((line) => /^[AC] /.test(line));
  const paths = [...lines.map((line) => line.slice(2)), "/tmp", "/run", "/dev/shm", "/mnt"];
  // Folders that changed are listed with what changed in them; those in memory are taken whole.
  const pack = `tar -cf - --no-recursion "$@" 2>/dev/null; tar -cf - /tmp /run /dev/shm /mnt 2>/dev/null; true`;
  const args = ["exec", "--user", "0", container, "sh", "-c", pack, "sh", ...paths];
  const env = { ...process.env, DOCKER_HOST: dockerEnv()["DOCKER_HOST"] ?? "" };
  const options = { env, encoding: "buffer" as const, maxBuffer: 2 ** 28 };
  return (await promisify(execFile)("docker", args, options)).stdout;
}

test("no secret is in what the engine says of a container, in its processes, or on its disk", async () => {
  const { product } = spied;
  const { vaults, sessions, environments, agents } = product.client.beta;
  const vault = await vaults.create({ display_name: "work" });
  const mcp_server_url = "https://mcp.example.com/";
  for (const auth of [
    { type: "static_bearer" as const, mcp_server_url, token: GIVEN["static bearer"] },
    {
      type: "mcp_oauth" as const,
      mcp_server_url: "https://other.example.com/",
      access_token: GIVEN["MCP access token"],
      refresh: {
        client_id: "client",
        refresh_token: GIVEN["MCP refresh token"],
        token_endpoint: "https://other.example.com/token",
        token_endpoint_auth: { type: "client_secret_basic" as const, client_secret: GIVEN["MCP client secret"] },
      },
    },
    {
      type: "environment_variable" as const,
      secret_name: "API_KEY",
      secret_value: GIVEN["environment secret"],
      networking: { type: "limited" as const, allowed_hosts: ["api.example.com"] },
    },
  ]) {
    await vaults.credentials.create(vault.id, { auth });
  }
  const agent = await agents.create({
    name: "a",
    model: "claude-opus-5-5",
    tools: [{ type: "agent_toolset_20260401", default_config: { permission_policy: { type: "always_allow" } } }],
  });
  const environment = await environments.create({ name: "e" });
  const { id } = await sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    vault_ids: [vault.id],
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Look around." }] }],
  });
  await until("the session rests", async () => (await sessions.retrieve(id)).status === "idle", 110_000);
  expect(JSON.stringify(await eventsOf(product, id))).toContain("looked");

  const own = Object.fromEntries(spied.capabilities().map((token, index) => [`capability token ${index}`, token]));
  const canaries: Canaries = { ...GIVEN, "launch secret": spied.launchSecret(), ...own };
  expect(Object.keys(own).length).toBeGreaterThan(0);
  const container = await containerOf(id);
  const said = [await docker("inspect", container), await docker("logs", container), await docker("top", container)];
  said.push(
    await docker("exec", container, "sh", "-c", LOOK),
    await docker("history", "--no-trunc", await imageOf(container)),
  );
  for (const text of said) expect(canariesIn(Buffer.from(text), canaries), text.slice(0, 200)).toEqual([]);
  const disk = await diskOf(container);
  expect(disk.length).toBeGreaterThan(10_000);
  expect(canariesIn(disk, canaries)).toEqual([]);

  // The same search finds what is put there, in a file and in a process.
  await docker("exec", container, "sh", "-c", `printf '%s' "$0" > /tmp/planted`, GIVEN["environment secret"]);
  expect(canariesIn(await diskOf(container), canaries)).toEqual(["environment secret"]);
  const planted = await docker("exec", "-e", `PLANTED=${GIVEN["static bearer"]}`, container, "sh", "-c", LOOK);
  expect(canariesIn(Buffer.from(planted), canaries)).toEqual(["static bearer"]);
});

async function imageOf(container: string): Promise<string> {
  return docker("inspect", "--format", "{{.Image}}", container);
}
