/**
 * A broker with everything behind it that an attempt could reach: a model endpoint, two MCP servers, and a web server in
 * the internet's place. All of them count, so that a refusal is shown by what did not arrive.
 */
import { connect } from "node:net";
import { newId } from "../../../contract/ids.ts";
import type { BrokerOptions } from "../../broker.ts";
import {
  type CountingServer,
  countingServer,
  dataDirectory,
  grant,
  message,
  sealToken,
} from "../../mcp/testing/granted.ts";
import { type TestBroker, testBroker } from "../../testing/broker_client.ts";

export const MODEL_KEY = "sk-ant-canary-bypass";
export const MINE = "a".repeat(32);
export const OTHERS = "b".repeat(32);
/** What the names of the internet lead to; its server is dialled in its place. */
export const PUBLIC_ADDRESS = "203.0.113.7";

export interface World {
  broker: TestBroker;
  model: CountingServer;
  /** May be called by `broker.sessionId` as {@link MINE}. */
  mine: CountingServer;
  /** May be called by the other session as {@link OTHERS}. */
  others: CountingServer;
  /** Behind CONNECT. `example.com` and `*.example.org` are allowed. */
  internet: CountingServer;
  other: { sessionId: string; token: string };
  /** Requests and connections at any of the servers. */
  arrived: () => number;
  /** Counts from 0 again. */
  forget: () => void;
}

/** @param options `egress.resolve` says what names lead to; {@link PUBLIC_ADDRESS} by default */
export async function world(options: BrokerOptions = {}): Promise<World> {
  const [model, mine, others, internet] = await Promise.all([1, 2, 3, 4].map(() => countingServer()));
  if (model === undefined || mine === undefined || others === undefined || internet === undefined) throw new Error();
  const broker = await testBroker(
    { base_url: model.url, api_key: MODEL_KEY },
    {
      ...options,
      egress: {
        resolve: () => Promise.resolve([PUBLIC_ADDRESS]),
        target: () => ({ host: "127.0.0.1", port: internet.port }),
        ...options.egress,
      },
    },
    await dataDirectory(),
  );
  const sessionId = newId("session");
  const capability = await broker.control("POST", "capabilities", { session_id: sessionId });
  const { token } = (await capability.json()) as { token: string };
  const policy = { mode: "limited", allowed_hosts: ["example.com", "*.example.org", "10.0.0.1", "xn--exmple-cua.com"] };
  for (const session_id of [broker.sessionId, sessionId])
    await broker.control("POST", "egress", { session_id, policy });
  await grant(broker, [{ id: MINE, url: mine.url, credential: await sealToken(broker, mine.url) }]);
  await grant(broker, [{ id: OTHERS, url: others.url, credential: await sealToken(broker, others.url) }], sessionId);
  const servers = [model, mine, others, internet];
  const arrived = () => servers.reduce((sum, server) => sum + server.arrived.length + server.connections, 0);
  const forget = () => {
    for (const server of servers) {
      server.arrived.length = 0;
      server.connections = 0;
    }
  };
  return { broker, model, mine, others, internet, other: { sessionId, token }, arrived, forget };
}

export interface Raw {
  /** Of the first answer; null when the connection ended without one. */
  status: number | null;
  /** Answers on the connection: more than one means that one request was read as two. */
  answers: number;
  text: string;
}

/** A connection that says nothing more for so long has said everything. */
const QUIET_MS = 60;

/** Sends bytes (a string is taken as Latin-1) and gives everything that comes back until the end or until silence. */
export function raw(brokerUrl: string, bytes: string | readonly string[]): Promise<Raw> {
  const { hostname, port } = new URL(brokerUrl);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname);
    let text = "";
    const done = (): void => {
      clearTimeout(quiet);
      socket.destroy();
      const answers = text.match(/^HTTP\/1\.1 (?!100)\d{3} /gm) ?? [];
      resolve({
        status: answers[0] === undefined ? null : Number(answers[0].slice(9, 12)),
        answers: answers.length,
        text,
      });
    };
    let quiet = setTimeout(done, 3_000);
    socket.on("data", (chunk) => {
      text += chunk.toString("latin1");
      clearTimeout(quiet);
      quiet = setTimeout(done, QUIET_MS);
    });
    socket.on("error", () => undefined);
    socket.on("close", done);
    for (const part of [bytes].flat()) socket.write(Buffer.from(part, "latin1"));
  });
}

/** The lines of a request with the session's token, before `replace` makes an attempt of it. */
export function requestText(
  { url, token }: { url: string; token: string },
  target: string,
  { method = "GET", headers = [], body = "" }: { method?: string; headers?: readonly string[]; body?: string } = {},
): string {
  const length = body === "" ? [] : [`content-length: ${body.length}`, "content-type: application/json"];
  const lines = [`${method} ${target} HTTP/1.1`, `host: ${new URL(url).host}`, `authorization: Bearer ${token}`];
  return [...lines, ...length, ...headers, "", body].join("\r\n");
}

export const CALL = message("tools/list");
