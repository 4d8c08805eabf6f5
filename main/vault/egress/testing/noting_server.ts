/** A TLS server that notes all that arrives, and a session whose requests to it are intercepted. */
import type { RequestListener } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { stopBrokers } from "../../testing/broker_client.ts";
import type { EgressOptions } from "../route.ts";
import {
  HOST,
  type InterceptedSession,
  interceptedSession,
  removeFolders,
  type TestVariable,
  type TlsInternet,
  tlsInternet,
} from "./tls_internet.ts";

export const TOKEN = "never-to-be-seen-1";

const closing: TlsInternet[] = [];

/** For `afterEach`. */
export async function closeAll(): Promise<void> {
  await stopBrokers();
  await Promise.all(closing.splice(0).map((net) => net.close()));
  await removeFolders();
}

export interface NotingServer {
  net: TlsInternet;
  session: InterceptedSession;
  /** What arrived at the server, all of it. */
  arrived: string[];
}

/** A session with one variable for {@link HOST} unless said otherwise. */
export async function withServer(
  options: EgressOptions & {
    serve?: RequestListener;
    variables?: TestVariable[];
    certifies?: (name: string) => string;
    expired?: boolean;
    hosts?: string[];
  } = {},
): Promise<NotingServer> {
  const arrived: string[] = [];
  const net = await tlsInternet((request, response) => {
    arrived.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
    if (options.serve !== undefined) return options.serve(request, response);
    request.on("data", (chunk: Buffer) => arrived.push(chunk.toString()));
    request.on("end", () => response.end("ok"));
  }, options);
  closing.push(net);
  const { serve: _serve, variables = [{ value: TOKEN }], certifies: _certifies, expired: _expired, ...more } = options;
  return { net, arrived, session: await interceptedSession(net, variables, more) };
}

/** A request whose `authorization` is the placeholder. */
export const request = (session: InterceptedSession, more = "", host = HOST) =>
  `GET / HTTP/1.1\r\nhost: ${host}\r\nauthorization: ${session.placeholder}\r\n${more}connection: close\r\n\r\n`;

/** The first entry of the audit log. */
export const firstUse = async (session: InterceptedSession) => {
  const answer = await session.broker.control("GET", "audit?written=0");
  return ((await answer.json()) as { data: { decision: string; reason: string }[] }).data[0];
};

export const eventually = async (condition: () => boolean) => {
  for (let tries = 0; tries < 300 && !condition(); tries++) await sleep(10);
  expect(condition()).toBe(true);
};
