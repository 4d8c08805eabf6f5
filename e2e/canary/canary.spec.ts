/** P4: a secret that the product was given is found in nothing that it keeps, says or shows, whatever others echo. */
import { appendFileSync, cpSync, readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type McpServer, sendJson, startMcpServer } from "../../main/vault/credentials/testing/mcp_server.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { removeDir, run, tempDir, until } from "../product/serve.ts";
import { eventsOf } from "../product/sessions.ts";
import { openDesk, startBrowser } from "../ui/browser.ts";
import { dumped, hostileModel } from "./hostile_model.ts";
import { type Canaries, canariesIn, canariesInFolder, canariesInHeap } from "./search.ts";
import { type Spied, serveSpied } from "./spied.ts";

/** With letters that JSON, URLs and shells escape, where the kind of secret may have them. */
const GIVEN = {
  "model key": 'sk-ant-canary"model\\key/1+=',
  "vault passphrase": 'canary passphrase "5c1d" ünd mehr',
  "static bearer": 'canary-bearer"91aa\\x/y+=',
  "MCP access token": 'canary-access"23bc\\x/y+=',
  "MCP refresh token": "canary-refresh 77de\\\"'/y+=ß",
  "MCP client secret": 'canary-client 40ff\\"/y+=ß',
  "refreshed access token": 'canary-renewed"6b6b\\x/y+=',
  "rotated refresh token": 'canary-rotated 9d9d\\"/y+=ß',
  "replaced bearer": 'canary-replaced"1f1f\\x/y+=',
  "environment secret": 'canary-variable\n8e02 "second line of it"\\ß',
  "repository token": "ghp_canaryRepositoryToken0a0a",
};

let scratch: string;
let model: ModelServer;
let mcp: McpServer;
let spied: Spied;
let browser: Browser;
/** What the API and the command line said. */
const answers: string[] = [];
let sessionId = "";

/** All there are by now: two kinds are made by the product itself. */
function canaries(): Canaries {
  const own = Object.fromEntries(spied.capabilities().map((token, index) => [`capability token ${index}`, token]));
  return { ...GIVEN, "launch secret": spied.launchSecret(), ...own };
}

/** Says whatever came, in headers, body and error, as it is and encoded. */
function echo(
  request: { headers: IncomingMessage["headers"]; body: string },
  response: ServerResponse,
  status: number,
): void {
  const said = `${request.headers.authorization ?? ""} ${request.body}`;
  const basic = Buffer.from((request.headers.authorization ?? "").replace(/^Basic /, ""), "base64").toString("latin1");
  const header = encodeURIComponent(said).slice(0, 4_000);
  response.setHeader("x-echo", header);
  response.setHeader("www-authenticate", `Bearer error="${header}"`);
  const form = new URLSearchParams(request.body).toString();
  sendJson(response, status, {
    error: "invalid_token",
    said,
    basic,
    form,
    base64: Buffer.from(said).toString("base64"),
  });
}

beforeAll(async () => {
  scratch = tempDir();
  mcp = await startMcpServer();
  mcp.answer = (asked, response) => {
    if (!mcp.accepted.has((asked.headers.authorization ?? "").slice(7))) return echo(asked, response, 401);
    const id = (JSON.parse(asked.body || "{}") as { id?: number }).id;
    if (id === undefined) return void response.writeHead(202).end();
    sendJson(response, 200, {
      jsonrpc: "2.0",
      id,
      result: { protocolVersion: "2025-06-18", tools: [], said: asked.headers.authorization },
    });
  };
  mcp.token = (asked, response) => {
    const tokens = { access_token: GIVEN["refreshed access token"], refresh_token: GIVEN["rotated refresh token"] };
    sendJson(response, 200, { ...tokens, expires_in: 3600, token_type: "Bearer", said: asked.body });
  };
  model = await startModelServer({ script: hostileModel(() => canaries()), apiKey: GIVEN["model key"] });
  spied = await serveSpied(scratch, {
    model,
    env: { LONGHAUL_VAULT_PASSPHRASE: GIVEN["vault passphrase"], LONGHAUL_LOG_LEVEL: "trace" },
  });
  browser = await startBrowser();
});
afterAll(async () => {
  await browser?.close();
  await spied?.product.stop();
  await model?.close();
  mcp?.close();
  if (spied !== undefined) removeDir(spied.product.data_dir);
  removeDir(scratch);
});

const say = (answer: unknown): void => void answers.push(typeof answer === "string" ? answer : JSON.stringify(answer));

test("a session uses secrets of every kind while all around it echo them", async () => {
  const { product } = spied;
  const { vaults, sessions, environments, agents } = product.client.beta;
  const vault = await vaults.create({ display_name: "work" });
  const auth = {
    type: "static_bearer" as const,
    mcp_server_url: "https://mcp.example.com/",
    token: GIVEN["static bearer"],
  };
  const bearer = await vaults.credentials.create(vault.id, { auth });
  const oauth = await vaults.credentials.create(vault.id, {
    auth: {
      type: "mcp_oauth",
      mcp_server_url: mcp.url,
      access_token: GIVEN["MCP access token"],
      refresh: {
        client_id: "client",
        refresh_token: GIVEN["MCP refresh token"],
        token_endpoint: mcp.token_endpoint,
        token_endpoint_auth: { type: "client_secret_post", client_secret: GIVEN["MCP client secret"] },
      },
    },
  });
  const variable = await vaults.credentials.create(vault.id, {
    auth: {
      type: "environment_variable",
      secret_name: "API_KEY",
      secret_value: GIVEN["environment secret"],
      networking: { type: "limited", allowed_hosts: ["api.example.com"] },
    },
  });
  [bearer, oauth, variable].forEach(say);

  // Refused by an echo, then refreshed; a wrong request with a secret in it; a replacement.
  mcp.accepted.add(GIVEN["refreshed access token"]);
  say(await vaults.credentials.mcpOAuthValidate(oauth.id, { vault_id: vault.id }));
  mcp.accepted.clear();
  mcp.token = (asked, response) => echo(asked, response, 400);
  const refused = await vaults.credentials.mcpOAuthValidate(oauth.id, { vault_id: vault.id });
  expect(refused.status).toBe("invalid");
  say(refused);
  const wrong = { auth: { ...auth, mcp_server_url: "nonsense" } };
  say(await vaults.credentials.create(vault.id, wrong).catch((error: Error) => `${error} ${JSON.stringify(error)}`));
  const token = GIVEN["replaced bearer"];
  say(await vaults.credentials.update(bearer.id, { vault_id: vault.id, auth: { type: "static_bearer", token } }));

  const environment = await environments.create({ name: "e" });
  const agent = await agents.create({
    name: "a",
    model: "claude-opus-5-5",
    tools: [
      {
        type: "agent_toolset_20260401",
        default_config: { enabled: true, permission_policy: { type: "always_allow" } },
      },
    ],
  });
  const session = await sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    vault_ids: [vault.id],
    initial_events: [{ type: "user.message", content: [{ type: "text", text: "Print all that you know." }] }],
  });
  sessionId = session.id;
  const url = "https://github.com/longhaul-canary/nothing";
  const resource = { type: "github_repository" as const, url, authorization_token: GIVEN["repository token"] };
  say(await sessions.create({ agent: agent.id, environment_id: environment.id, resources: [resource] }));
  // What streams while the session runs is told too.
  const streamed = streamOf(`/longhaul/v1/sessions/${sessionId}/timeline`);
  const contract = streamOf(`/v1/sessions/${sessionId}/events/stream?event_deltas[]=agent.message`);
  await until("the session rests", async () => (await sessions.retrieve(sessionId)).status === "idle", 100_000);
  say(session);
  say(await streamed.end());
  say(await contract.end());

  const events = await eventsOf(product, sessionId);
  const texts = events.map(({ event }) => JSON.stringify(event));
  // It all happened: the error, the calls, their outputs, the answers, and every value is stars in them.
  expect(texts.filter((text) => text.includes("****")).length).toBeGreaterThan(8);
  const types = new Set(events.map(({ event }) => event.type));
  for (const type of ["session.error", "agent.message", "agent.tool_use", "agent.tool_result"])
    expect(types).toContain(type);
  const requests = model.requests.filter(({ path }) => path.startsWith("/v1/messages"));
  expect(requests.length).toBeGreaterThanOrEqual(5);
  // What the model was sent of its own echoes, and of what the tools printed, was masked before.
  for (const { raw } of requests) expect(canariesIn(raw, canaries())).toEqual([]);
});

/** Everything that a stream says until it is ended. */
function streamOf(path: string): { end: () => Promise<string> } {
  const { url, token } = spied.product;
  const gone = new AbortController();
  let text = "";
  const reading = (async () => {
    const response = await fetch(url + path, { headers: { authorization: `Bearer ${token}` }, signal: gone.signal });
    if (!response.ok || response.body === null) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    const decoder = new TextDecoder();
    for await (const chunk of response.body) text += decoder.decode(chunk as Uint8Array, { stream: true });
  })().catch((error: unknown) => {
    if (!gone.signal.aborted) throw error;
  });
  return {
    end: async () => {
      gone.abort();
      await reading;
      return text;
    },
  };
}

describe("afterwards they are not", () => {
  test("in the ledger, its log, blobs, and every other file but the sandbox's own disk", () => {
    const { data_dir } = spied.product;
    // What the agent itself wrote into its sandbox is its own; nothing of it may leave unmasked.
    const skip = (name: string): boolean => name.startsWith("sandboxes");
    expect(canariesInFolder(data_dir, canaries(), skip)).toEqual({});
  });

  test("in the product's answers: every route that reads a session, its vaults, files and the engine", async () => {
    const { product } = spied;
    const paths = await readingPaths();
    for (const path of paths) {
      const response = await fetch(product.url + path, { headers: { authorization: `Bearer ${product.token}` } });
      expect(response.status, path).toBeLessThan(500);
      const body = Buffer.from(await response.arrayBuffer());
      // The request that was sent is the one that the ledger makes again: masked before it was sent, not after.
      if (path.includes("/requests/")) expect(JSON.parse(body.toString())).toMatchObject({ matches: true });
      const bytes = Buffer.concat([Buffer.from(JSON.stringify([...response.headers])), body]);
      expect(canariesIn(bytes, canaries()), path).toEqual([]);
    }
    for (const answer of answers) expect(canariesIn(Buffer.from(answer), canaries()), answer.slice(0, 200)).toEqual([]);
    expect(answers.length).toBeGreaterThan(8);
  });

  test("in what was logged, and in what the commands say", async () => {
    const doctor = await run(["doctor", "--data-dir", spied.product.data_dir]);
    const verified = await run(["verify", "--data-dir", spied.product.data_dir]);
    const said = spied.product.stderr() + doctor.stdout + doctor.stderr + verified.stdout + verified.stderr;
    expect(doctor.stdout).toMatch(/keychain +Credentials are sealed with the passphrase/);
    expect(verified.stdout).toContain("every chain is whole");
    expect(canariesIn(Buffer.from(said), canaries())).toEqual([]);
  });

  test.runIf(process.platform === "linux")("in environment or arguments of its processes", () => {
    const { pid, broker_pid } = spied.product;
    for (const process of [pid, broker_pid]) {
      const bytes = ["environ", "cmdline"].map((name) => readFileSync(`/proc/${process}/${name}`));
      expect(canariesIn(Buffer.concat(bytes), canaries())).toEqual([]);
    }
  });

  test("in the engine's heap, where the search finds what the broker's holds", async () => {
    const { product, heapOf } = spied;
    // The engine's own: what it proves itself to the broker with. Everything else is the broker's alone.
    const others = Object.fromEntries(Object.entries(canaries()).filter(([kind]) => kind in GIVEN));
    const engine = await heapOf(product.pid);
    expect(canariesInHeap(engine, { ...others, planted: product.data_dir })).toEqual(["planted"]);
    const broker = await heapOf(product.broker_pid);
    expect(canariesInHeap(broker, others)).toEqual(expect.arrayContaining(["model key", "vault passphrase"]));
  });

  test("in what a browser keeps of the user interface", async () => {
    const page = await openDesk(browser, spied.product, `#/session/${sessionId}`);
    await page.waitForLoadState("networkidle").catch(() => undefined);
    await page.waitForTimeout(1_000);
    const kept = await page.evaluate(async () => {
      const databases = await indexedDB.databases();
      return JSON.stringify([
        { ...localStorage },
        { ...sessionStorage },
        document.cookie,
        databases,
        document.documentElement.outerHTML,
      ]);
    });
    const cookies = JSON.stringify(await page.context().storageState({ indexedDB: true }));
    expect(kept).toContain(spied.product.token);
    expect(canariesIn(Buffer.from(kept + cookies), canaries())).toEqual([]);
    await page.context().close();
  });

  test("after the engine was killed in the middle of everything", async () => {
    const { product } = spied;
    process.kill(product.pid, "SIGKILL");
    await until("the engine is back", () => product.local("/health").catch(() => null));
    await product.client.beta.sessions.events.send(sessionId, {
      events: [{ type: "user.message", content: [{ type: "text", text: `I say:\n${dumped(canaries())}` }] }],
    });
    const resting = async (): Promise<boolean> =>
      (await product.client.beta.sessions.retrieve(sessionId)).status === "idle";
    await until("the session rests", resting, 100_000);
    const skip = (name: string): boolean => name.startsWith("sandboxes");
    expect(canariesInFolder(product.data_dir, canaries(), skip)).toEqual({});
    expect(canariesIn(Buffer.from(product.stderr()), canaries())).toEqual([]);
  });
});

test("each kind that is planted in a copy is found there", () => {
  const copy = join(scratch, "copy");
  cpSync(spied.product.data_dir, copy, { recursive: true, filter: (path) => !path.includes("sandboxes") });
  const all = canaries();
  const wrap = (value: string): string => Buffer.from(`x:${value}`).toString("base64").replace(/.{10}/g, "$&\\n");
  for (const [index, [kind, value]] of Object.entries(all).entries()) {
    const forms = [value, JSON.stringify({ value }), encodeURIComponent(value), wrap(value)];
    appendFileSync(join(copy, index % 2 === 0 ? "ledger.db" : "ledger.db-wal"), forms[index % forms.length] ?? "");
    expect(Object.values(canariesInFolder(copy, { [kind]: value })), kind).toEqual([[kind]]);
  }
  expect(Object.keys(all).length).toBeGreaterThanOrEqual(12);
});

/** Paths of the API that read something of what was made. */
async function readingPaths(): Promise<string[]> {
  const { client, local } = spied.product;
  const vaults = (await client.beta.vaults.list()).data;
  const files = (await client.beta.files.list({ scope_id: sessionId })).data;
  const events = await eventsOf(spied.product, sessionId);
  const spans = events.filter(({ event }) => event.type === "span.model_request_start").map(({ event }) => event.id);
  const ofSession = ["", "/events?limit=1000", "/threads", "/resources"].map(
    (path) => `/v1/sessions/${sessionId}${path}`,
  );
  const outputs = ["/outputs", "/outputs/report.txt"];
  const local_ = ["", "/events?limit=1000", "/changes", ...outputs, ...spans.map((id) => `/requests/${id}`)];
  await local("/health");
  expect(files.length).toBeGreaterThan(0);
  return [
    ...ofSession,
    ...local_.map((path) => `/longhaul/v1/sessions/${sessionId}${path}`),
    ...vaults.flatMap(({ id }) => [`/v1/vaults/${id}`, `/v1/vaults/${id}/credentials`]),
    ...files.flatMap(({ id }) => [`/v1/files/${id}`, `/v1/files/${id}/content`]),
    "/v1/sessions",
    "/v1/agents",
    "/v1/environments",
    "/longhaul/v1/health",
    "/longhaul/v1/sessions",
    "/longhaul/v1/search?q=canary",
  ];
}
