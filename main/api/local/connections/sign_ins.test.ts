/** Signing in: from the first request to the credential, with everything that can end it in between. */
import { beforeEach, expect, onTestFinished, test, vi } from "vitest";
import { ApiError } from "../../../contract/errors.ts";
import type { Connection, ConnectionList, SignIn } from "../../../contract/vaults/connections.ts";
import { MemoryRecords } from "../../../session/records/memory_records.ts";
import { type MemoryVault, memoryVault } from "../../testing/memory_vault.ts";
import { type Rig, startRig } from "../../testing/rig.ts";

const BASE = "/longhaul/v1/connections";
const SERVER = "https://mcp.example.com/mcp";

let vault: MemoryVault;
let records: MemoryRecords;
let rig: Rig;

beforeEach(async () => {
  vault = memoryVault();
  records = new MemoryRecords();
  rig = await start();
});

/** An engine on the same records and broker; the next one is its restart. */
async function start(): Promise<Rig> {
  const started = await startRig({ vault, records });
  onTestFinished(async () => {
    expect(started.failures).toEqual([]);
    await started[Symbol.asyncDispose]();
  });
  return started;
}

async function call<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }> {
  const answer = await rig.request(BASE + path, { method, ...(body === undefined ? {} : { body }) });
  return { status: answer.status, body: (await answer.json()) as T };
}
const begin = async (more: object = {}): Promise<SignIn> =>
  (await call<SignIn>("POST", "", { mcp_server_url: SERVER, ...more })).body;
const list = async (): Promise<ConnectionList> => (await call<ConnectionList>("GET", "")).body;
const over = async (id: string): Promise<SignIn> => (await call<SignIn>("GET", `/sign_ins/${id}?wait=20`)).body;
async function connected(more: object = {}): Promise<Connection> {
  const { id } = await begin(more);
  vault.signedIn(id, ["read"]);
  await over(id);
  const [connection] = (await list()).data;
  if (connection === undefined) throw new Error("no connection");
  return connection;
}

interface Failure {
  error: { type: string; message: string };
}

test("a sign-in waits with the address for the browser, and becomes a connection when the person is done", async () => {
  const signIn = await begin({ name: "Tracker", scopes: ["read"], client: { client_id: "c0" } });
  expect(signIn).toEqual({
    id: expect.stringMatching(/^[0-9a-f]{32}$/),
    type: "connection_sign_in",
    state: "waiting",
    mcp_server_url: SERVER,
    vault_id: expect.stringMatching(/^vlt_/),
    connection_id: null,
    authorization_url: expect.stringContaining("https://auth.example.com/"),
    authorization_server: "auth.example.com",
    message: null,
    started_at: expect.any(String),
  });
  expect(vault.begun.get(signIn.id)).toMatchObject({
    scopes: ["read"],
    client: { client_id: "c0", client_secret: null },
  });
  expect(await list()).toEqual({ data: [], sign_ins: [signIn] });

  const heard = over(signIn.id);
  vault.signedIn(signIn.id, ["read"]);
  const done = await heard;
  expect(done).toMatchObject({
    state: "done",
    authorization_url: null,
    connection_id: expect.stringMatching(/^vcrd_/),
  });
  const { data, sign_ins } = await list();
  expect(sign_ins).toEqual([]);
  expect(data).toEqual([
    expect.objectContaining({
      id: done.connection_id,
      display_name: "Tracker",
      state: "connected",
      scopes: ["read"],
      authorization_server: "auth.example.com",
      client: { client_id: "c0", has_secret: false },
    }),
  ]);
  expect((await vault.sealed()).map(({ credential_id }) => credential_id)).toEqual([done.connection_id]);
});

test("signing in again keeps the connection and takes the place of its value", async () => {
  const before = await connected();
  const [old] = await vault.sealed();
  const again = (await call<SignIn>("POST", `/${before.id}/sign_in`)).body;
  expect(again.connection_id).toBe(before.id);
  expect(vault.begun.get(again.id)).toMatchObject({ credential_id: before.id, scopes: ["read"], client: null });
  // As long as it waits the connection is used as it is.
  expect((await list()).data[0]).toEqual(before);
  vault.signedIn(again.id, ["read", "write"]);
  expect(await over(again.id)).toMatchObject({ state: "done", connection_id: before.id });
  expect((await list()).data).toEqual([expect.objectContaining({ id: before.id, scopes: ["read", "write"] })]);
  const sealed = await vault.sealed();
  expect(sealed).toHaveLength(1);
  expect(sealed[0]?.secret_id).not.toBe(old?.secret_id);
});

test("a client with a secret must be named again: its secret is not kept for that", async () => {
  const made = await connected({ client: { client_id: "c0", client_secret: "canary" } });
  expect(JSON.stringify([...(await records.list("connection_sign_in", { limit: 9 })), made])).not.toContain("canary");
  const refused = await call<Failure>("POST", `/${made.id}/sign_in`);
  expect([refused.status, refused.body.error.message]).toEqual([400, expect.stringMatching(/`client` is required/)]);
  const client = { client_id: "c0", client_secret: "canary" };
  expect((await call("POST", `/${made.id}/sign_in`, { client })).status).toBe(200);
});

test("only what was signed in can be signed in again", async () => {
  const { body } = await call<Connection>("POST", "", { type: "static_bearer", mcp_server_url: SERVER, token: "t" });
  const refused = await call<Failure>("POST", `/${body.id}/sign_in`);
  expect([refused.status, refused.body.error.message]).toEqual([400, expect.stringContaining("has no sign-in")]);
});

test("a refused sign-in says why until it is put away, and leaves nothing sealed", async () => {
  const { id } = await begin();
  vault.refuse(id, "auth.example.com says access_denied: you refused it there.");
  const failed = await over(id);
  expect(failed).toMatchObject({ state: "failed", message: expect.stringContaining("access_denied") });
  expect(await list()).toEqual({ data: [], sign_ins: [failed] });
  expect((await call("DELETE", `/sign_ins/${id}`)).status).toBe(200);
  expect(await list()).toEqual({ data: [], sign_ins: [] });
  expect((await call("GET", `/sign_ins/${id}`)).status).toBe(404);
});

test("a server that cannot be signed in to is refused at once, and no sign-in is left", async () => {
  const message = "`mcp_server_url`: mcp.example.com names no authorization server.";
  vi.spyOn(vault, "beginOAuth").mockRejectedValue(new ApiError("invalid_request_error", message));
  const refused = await call<Failure>("POST", "", { mcp_server_url: SERVER });
  expect([refused.status, refused.body.error.message]).toEqual([400, message]);
  expect(await list()).toEqual({ data: [], sign_ins: [] });
});

test("without a keychain nobody is sent to a browser for nothing", async () => {
  const health = await rig.ports.health();
  const keychain = {
    state: "missing" as const,
    summary: "No Secret Service answers.",
    advice: "Install gnome-keyring.",
  };
  vi.spyOn(rig.ports, "health").mockResolvedValue({ ...health, keychain });
  const locked = await startRig({ vault, records, health: async () => ({ ...health, keychain }) });
  onTestFinished(() => locked[Symbol.asyncDispose]());
  const answer = await locked.request(BASE, { method: "POST", body: { mcp_server_url: SERVER } });
  expect([answer.status, await answer.json()]).toEqual([
    400,
    expect.objectContaining({ error: expect.objectContaining({ message: expect.stringContaining("gnome-keyring") }) }),
  ]);
  expect(vault.begun.size).toBe(0);
});

test("a cancelled one cannot finish any more", async () => {
  const { id } = await begin();
  const heard = over(id);
  await call("DELETE", `/sign_ins/${id}`);
  expect(await heard).toMatchObject({ state: "cancelled" });
  expect(() => vault.signedIn(id)).toThrow();
  expect(await list()).toEqual({ data: [], sign_ins: [] });
});

test("cancelling one that has just finished keeps its connection", async () => {
  const made = await connected();
  const [row] = await records.list("connection_sign_in", { limit: 9 });
  await call("DELETE", `/sign_ins/${row?.id}`);
  expect((await list()).data).toEqual([made]);
  expect(await vault.sealed()).toHaveLength(1);
});

test("cancelling at the moment at which it finishes leaves one of both: a connection with its value, or neither", async () => {
  for (let round = 0; round < 20; round += 1) {
    const { id } = await begin({ mcp_server_url: `${SERVER}/${round}` });
    const cancelled = call("DELETE", `/sign_ins/${id}`);
    for (let turn = 0; turn < round; turn += 1) await Promise.resolve();
    try {
      vault.signedIn(id);
    } catch {
      // Cancelled before.
    }
    await cancelled;
    // The watcher that heard of the end writes in the same queue as what the list reads.
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await vi.waitFor(async () => {
    const connections = (await list()).data.map(({ id }) => id);
    expect((await vault.sealed()).map(({ credential_id }) => credential_id).sort()).toEqual(connections.sort());
  });
});

test("asking again for the same server takes the place of the sign-in that was lost", async () => {
  const first = await begin();
  const second = await begin();
  expect((await call<SignIn>("GET", `/sign_ins/${first.id}`)).body.state).toBe("cancelled");
  expect((await list()).sign_ins.map(({ id }) => id)).toEqual([second.id]);
});

test("a person who finishes while the engine is down is connected when it is back", async () => {
  const { id } = await begin();
  rig = await start();
  vault.signedIn(id);
  expect(await over(id)).toMatchObject({ state: "done" });
  expect((await list()).data).toHaveLength(1);
});

test("a restarted engine knows the address for the browser again", async () => {
  const { id, authorization_url } = await begin();
  rig = await start();
  await vi.waitFor(async () => expect((await list()).sign_ins).toMatchObject([{ id, authorization_url }]));
});

test("tokens that were sealed before the engine died are not swept before their record is written", async () => {
  const { id } = await begin();
  const write = vi.spyOn(MemoryRecords.prototype, "write").mockRejectedValue(new Error("the disk is full"));
  vault.signedIn(id);
  await vi.waitFor(() => expect(write).toHaveBeenCalled());
  write.mockRestore();
  // The next engine sweeps at its start.
  rig = await start();
  expect(await over(id)).toMatchObject({ state: "done" });
  expect(await vault.sealed()).toHaveLength(1);
});

test("a restarted broker has forgotten it: the person is told, and nothing is left", async () => {
  const { id } = await begin();
  vault.restart();
  expect(await over(id)).toMatchObject({ state: "failed", message: expect.stringContaining("restarted") });
});

test("a vault that goes during the sign-in, a connection that goes, and one that came first: each is said", async () => {
  const gone = await begin();
  await rig.client.beta.vaults.delete(gone.vault_id);
  vault.signedIn(gone.id);
  expect((await over(gone.id)).message).toContain("vault was archived or deleted");

  const slow = await begin();
  const first = (await call<Connection>("POST", "", { type: "static_bearer", mcp_server_url: SERVER, token: "t" }))
    .body;
  vault.signedIn(slow.id);
  expect((await over(slow.id)).message).toContain("added during the sign-in");
  await call("DELETE", `/${first.id}`);

  const made = await connected();
  const again = (await call<SignIn>("POST", `/${made.id}/sign_in`)).body;
  await call("DELETE", `/${made.id}`);
  expect((await call<SignIn>("GET", `/sign_ins/${again.id}`)).body.state).toBe("cancelled");
  expect(await vault.sealed()).toEqual([]);
});

test("no more wait than a person can have open", async () => {
  for (let n = 0; n < 20; n += 1) await begin({ mcp_server_url: `${SERVER}/${n}` });
  const refused = await call<Failure>("POST", "", { mcp_server_url: SERVER });
  expect([refused.status, refused.body.error.message]).toEqual([429, expect.stringContaining("cancel one")]);
});

test.each(["-1", "26", "x"])("a wait of %s seconds is refused", async (wait) => {
  const { id } = await begin();
  const refused = await call<Failure>("GET", `/sign_ins/${id}?wait=${wait}`);
  expect([refused.status, refused.body.error.message]).toEqual([400, expect.stringContaining("`wait`")]);
});
