/** A server that counts what reaches it, and a broker with a session that may call it. */
import { mkdtemp, rm } from "node:fs/promises";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { newId } from "../../../contract/ids.ts";
import type { CredentialAuth, CredentialSecrets } from "../../../contract/vaults/auth.ts";
import type { CredentialRef, CredentialUse, SessionGrants } from "../../../contract/vaults/grants.ts";
import type { BrokerOptions } from "../../broker.ts";
import { stopBrokers, type TestBroker, testBroker } from "../../testing/broker_client.ts";

export const SERVER_ID = "0123456789abcdef".repeat(2);
export const TOKEN = "mcp-canary-static/token+1";

export interface Arrived {
  method: string;
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  /** The port of its connection tells connections apart. */
  connection: number | undefined;
}

export type Answer = (response: ServerResponse, arrived: Arrived) => void;

export interface CountingServer {
  url: string;
  port: number;
  server: Server;
  /** Requests. */
  arrived: Arrived[];
  /** Connections, also those that said nothing. */
  connections: number;
  answer: Answer;
}

const closing: (() => unknown)[] = [];

/** For `afterEach` or `afterAll`. */
export async function cleanUp(): Promise<void> {
  await stopBrokers();
  await Promise.all(closing.splice(0).map((close) => close()));
}

export async function countingServer(answer: Answer = ok, hostname = "127.0.0.1"): Promise<CountingServer> {
  const server = createServer((request, response) => void serve(request, response));
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request as AsyncIterable<Buffer>) parts.push(part);
    const { method = "", url: path = "", headers, socket } = request;
    const arrived = { method, path, headers, body: Buffer.concat(parts).toString(), connection: socket.remotePort };
    counting.arrived.push(arrived);
    counting.answer(response, arrived);
  }
  server.on("connection", () => (counting.connections += 1));
  await new Promise<void>((resolve) => server.listen(0, hostname, resolve));
  closing.push(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const counting: CountingServer = {
    url: `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`,
    port,
    server,
    arrived: [],
    connections: 0,
    answer,
  };
  return counting;
}

export const ok: Answer = (response) => {
  response.writeHead(200, { "content-type": "application/json" }).end('{"jsonrpc":"2.0","id":1,"result":{}}');
};

export async function dataDirectory(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "longhaul-broker-"));
  closing.push(() => rm(path, { recursive: true, force: true }));
  return path;
}

export const brokerWithStore = async (options: BrokerOptions = {}): Promise<TestBroker> =>
  testBroker({}, options, await dataDirectory());

/** Seals a credential over the control route. */
export async function seal(
  broker: TestBroker,
  auth: CredentialAuth,
  secrets: CredentialSecrets,
): Promise<CredentialRef> {
  const ref = { vault_id: newId("vault"), credential_id: newId("credential"), secret_id: randomHex() };
  const sealed = await broker.control("PUT", "credentials", { ...ref, from: null, auth, secrets });
  expect(sealed.status).toBe(204);
  return { ...ref, issuer: auth.type === "environment_variable" ? auth.secret_name : auth.mcp_server_url };
}

export const sealToken = (broker: TestBroker, url: string, token = TOKEN): Promise<CredentialRef> =>
  seal(broker, { type: "static_bearer", mcp_server_url: url }, { token });

const randomHex = (): string => crypto.randomUUID().replaceAll("-", "");

export async function grant(
  broker: TestBroker,
  mcp_servers: SessionGrants["mcp_servers"],
  session_id = broker.sessionId,
): Promise<void> {
  const grants: SessionGrants = { mcp_servers, repositories: [], variables: [] };
  expect((await broker.control("POST", "grants", { session_id, grants })).status).toBe(204);
}

export interface Granted {
  broker: TestBroker;
  credential: CredentialRef | null;
  url: string;
}

/** A broker whose session may call the server at `url`, with a static token unless `token` is null. */
export async function granted(
  url: string,
  options: BrokerOptions = {},
  token: string | null = TOKEN,
): Promise<Granted> {
  const broker = await brokerWithStore(options);
  const credential = token === null ? null : await sealToken(broker, url, token);
  await grant(broker, [{ id: SERVER_ID, url, credential }]);
  return { broker, credential, url };
}

export const message = (method: string, params: object = {}): string =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

/** A request to the route with the session's token; `init` adds or replaces. */
export function call(
  broker: TestBroker,
  body: string | null = message("tools/list"),
  init: RequestInit = {},
): Promise<Response> {
  return fetch(`${broker.url}/mcp/${SERVER_ID}`, {
    method: body === null ? "GET" : "POST",
    body,
    ...init,
    headers: {
      authorization: `Bearer ${broker.token}`,
      accept: "application/json, text/event-stream",
      ...(body === null ? {} : { "content-type": "application/json" }),
      ...(init.headers as Record<string, string> | undefined),
    },
  });
}

/** Everything noted so far. */
export async function uses(broker: TestBroker): Promise<(CredentialUse & { count: number })[]> {
  const answer = (await (await broker.control("GET", "audit?written=0")).json()) as {
    data: (CredentialUse & { count: number })[];
  };
  return answer.data;
}
