import type { IncomingMessage } from "node:http";
import { afterEach, describe, expect, test } from "vitest";
import { stopBrokers } from "../../testing/broker_client.ts";
import {
  HOST,
  type InterceptedSession,
  interceptedSession,
  removeFolders,
  type TestVariable,
  type TlsInternet,
  tlsInternet,
} from "../testing/tls_internet.ts";

const VALUE = 's3cret/"value"+äöü';

interface Seen {
  url: string | undefined;
  headers: IncomingMessage["headers"];
  body: string;
}

const closing: TlsInternet[] = [];
afterEach(async () => {
  await stopBrokers();
  await Promise.all(closing.splice(0).map((net) => net.close()));
  await removeFolders();
});

/** A server that notes what it gets and echoes it. */
async function withEcho(
  variables: TestVariable[] = [{ value: VALUE }],
): Promise<{ seen: Seen[]; session: InterceptedSession }> {
  const seen: Seen[] = [];
  const net = await tlsInternet((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      seen.push({ url: request.url, headers: request.headers, body });
      response.setHeader("x-echo", request.headers.authorization ?? "none");
      response.end(`echo ${JSON.stringify(request.headers)} ${body}`);
    });
  });
  closing.push(net);
  return { seen, session: await interceptedSession(net, variables) };
}

const get = (headers: string, path = "/") =>
  `GET ${path} HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n${headers}\r\n`;

describe("a value takes its placeholder's place", () => {
  test("in a header, and is masked in what comes back", async () => {
    const { seen, session } = await withEcho([{ value: "plain-token-1" }]);
    const answer = await session.send(get(`authorization: Bearer ${session.placeholder}\r\n`));
    expect(seen[0]?.headers.authorization).toBe("Bearer plain-token-1");
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).toContain("x-echo: Bearer *************");
    expect(answer).not.toContain("plain-token-1");
  });
});
