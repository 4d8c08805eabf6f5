import type { Duplex } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { stopBrokers } from "../../testing/broker_client.ts";
import {
  HOST,
  interceptedSession,
  readText,
  removeFolders,
  type TlsInternet,
  tlsInternet,
} from "../testing/tls_internet.ts";

const TOKEN = "websocket-token-1";

const closing: TlsInternet[] = [];
afterEach(async () => {
  await stopBrokers();
  await Promise.all(closing.splice(0).map((net) => net.close()));
  await removeFolders();
});

/** An unmasked text frame, as servers send it. */
const frame = (text: string) => Buffer.concat([Buffer.from([0x81, Buffer.byteLength(text)]), Buffer.from(text)]);

async function withSocketServer(answer: (socket: Duplex, headers: Record<string, unknown>) => void) {
  const net = await tlsInternet((_request, response) => void response.writeHead(401).end(`no ${TOKEN}`));
  net.server.on("upgrade", (request, socket: Duplex) => {
    socket.on("error", () => undefined);
    answer(socket, request.headers);
  });
  closing.push(net);
  return { net, session: await interceptedSession(net, [{ value: TOKEN }]) };
}

const upgrade = (placeholder: string, protocol = "websocket", more = "") =>
  [
    `GET /socket HTTP/1.1\r\nhost: ${HOST}\r\nconnection: Upgrade\r\nupgrade: ${protocol}\r\nsec-websocket-version: 13`,
    `sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nsec-websocket-extensions: permessage-deflate`,
    `authorization: Bearer ${placeholder}\r\n${more}\r\n`,
  ].join("\r\n");

const accept = (socket: Duplex, more = "") =>
  socket.write(
    `HTTP/1.1 101 Switching\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n${more}\r\n`,
  );

test("headers get values; what the host says is masked, and arrives though it ends like a value begins", async () => {
  let seen: Record<string, unknown> = {};
  const { session } = await withSocketServer((socket, headers) => {
    seen = headers;
    accept(socket, `x-echo: ${TOKEN}\r\n`);
    socket.write(frame(`you said ${TOKEN}, now`));
    socket.on("data", (chunk: Buffer) => socket.end(chunk));
  });
  const socket = await session.connect();
  socket.write(upgrade(session.placeholder));
  let text = "";
  await new Promise<void>((resolve) => {
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      // The frame's last letter is the value's first.
      if (text.endsWith("now")) resolve();
    });
  });
  expect(seen["authorization"]).toBe(`Bearer ${TOKEN}`);
  expect(seen["sec-websocket-extensions"]).toBeUndefined();
  expect(text).toMatch(
    /^HTTP\/1.1 101 [^\r]*\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: x\r\n/,
  );
  expect(text).toContain("x-echo: *****************");
  expect(text).toContain("you said *****************, now");
  // To the host, messages go as they are.
  socket.end(`raw ${session.placeholder}`);
  expect(await readText(socket)).toBe(`raw ${session.placeholder}`);
});

test("a host that stays with HTTP is heard", async () => {
  const { net, session } = await withSocketServer(() => undefined);
  net.server.removeAllListeners("upgrade");
  const socket = await session.connect();
  socket.write(upgrade(session.placeholder));
  const answer = await readText(socket);
  expect(answer).toMatch(/^HTTP\/1.1 401 Unauthorized\r\n/);
  expect(answer).toContain("no *****************");
});

test.each([
  ["another protocol", "h2c", ""],
  ["a body before it", "websocket", "content-length: 3\r\n"],
])("%s is refused", async (_name, protocol, more) => {
  let asked = 0;
  const { session } = await withSocketServer((socket) => {
    asked += 1;
    socket.destroy();
  });
  expect(await session.send(upgrade(session.placeholder, protocol, more))).toMatch(/^HTTP\/1.1 400 /);
  expect(asked).toBe(0);
});

test("a host that hangs up is told as such, and a revoked capability ends an open one", async () => {
  let ended = false;
  const { session } = await withSocketServer((socket, headers) => {
    if (headers["x-hang-up"] !== undefined) return void socket.destroy();
    accept(socket);
    socket.on("close", () => {
      ended = true;
    });
  });
  expect(await session.send(upgrade(session.placeholder, "websocket", "x-hang-up: 1\r\n"))).toMatch(/^HTTP\/1.1 502 /);
  const socket = await session.connect();
  socket.write(upgrade(session.placeholder));
  await new Promise((resolve) => socket.once("data", resolve));
  const rest = readText(socket);
  await session.broker.control("DELETE", `capabilities/${session.broker.sessionId}`);
  await rest;
  for (let tries = 0; tries < 300 && !ended; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(ended).toBe(true);
});
