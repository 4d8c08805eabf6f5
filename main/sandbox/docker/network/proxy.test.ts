import { connect, createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { afterEach, expect, test } from "vitest";
import { readAll, tcpServer } from "../../../vault/egress/testing/raw_connect.ts";
import type { EgressDecision } from "./egress_log.ts";
import { EgressProxy } from "./proxy.ts";
import { EgressRefused } from "./refused.ts";

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** The proxy behind a port; `serve` plays every server that it connects to. */
async function rig(serve: (socket: Socket) => void, options: { refuse?: boolean; headMs?: number } = {}) {
  const upstream = await tcpServer(serve);
  closing.push(upstream.close);
  const noted: EgressDecision[] = [];
  const asked: string[] = [];
  const proxy = new EgressProxy({
    connect: (host, port) => {
      asked.push(`${host}:${port}`);
      if (options.refuse) return Promise.reject(new EgressRefused(`The host ${host} is closed.`));
      return new Promise<Duplex>((resolve) => {
        const socket = connect({ port: upstream.port, host: "127.0.0.1", allowHalfOpen: true }, () => resolve(socket));
        socket.on("error", () => undefined);
      });
    },
    ruleFor: (host) => (host.endsWith(".test") ? "allowed_hosts: *.test" : null),
    note: (decision) => noted.push(decision),
    ...(options.headMs === undefined ? {} : { headMs: options.headMs }),
  });
  const server = createServer({ allowHalfOpen: true }, (socket) => proxy.accept(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => server.close());
  const { port } = server.address() as { port: number };
  const send = async (text: string): Promise<string> => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    closing.push(() => socket.destroy());
    socket.write(text);
    return readAll(socket).catch(() => "");
  };
  return { send, noted, asked };
}

/** Answers with the request that it got. */
const mirror = (socket: Socket) =>
  socket.once("data", (head: Buffer) => {
    socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${head.length}\r\n\r\n${head.toString()}`);
  });

test("an absolute URL becomes a request to its host, without what was meant for the proxy", async () => {
  const { send, asked, noted } = await rig(mirror);
  const text = await send(
    "GET http://a.test/p?q=1 HTTP/1.1\r\nHost: other.test\r\nProxy-Authorization: Basic c2VjcmV0\r\nProxy-Connection: keep-alive\r\nX-Mine: 1\r\n\r\n",
  );
  expect(text).toContain("GET /p?q=1 HTTP/1.1");
  expect(text).toMatch(/host: a\.test/i);
  expect(text).toContain("X-Mine: 1");
  expect(text).not.toMatch(/other\.test|c2VjcmV0|proxy-/i);
  expect(asked).toEqual(["a.test:80"]);
  expect(noted).toEqual([{ host: "a.test", port: 80, decision: "allowed", reason: "allowed_hosts: *.test" }]);
});

test.each([
  ["an origin-form request", "GET / HTTP/1.1\r\nhost: a.test\r\n\r\n", "400"],
  ["an https URL", "GET https://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n", "400"],
  ["another scheme", "GET file:///etc/passwd HTTP/1.1\r\nhost: a.test\r\n\r\n", "400"],
  ["CONNECT without a port", "CONNECT a.test HTTP/1.1\r\n\r\n", "400"],
  ["no HTTP", "\x16\x03\x01 garbage\r\n\r\n", "400"],
  ["a head of 20 KB", `GET http://a.test/ HTTP/1.1\r\nx: ${"a".repeat(20_000)}\r\n\r\n`, "431"],
  [
    "two lengths",
    "POST http://a.test/ HTTP/1.1\r\nhost: a.test\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    "400",
  ],
])("%s is refused and asks for nothing", async (_name, text, status) => {
  const { send, asked } = await rig(mirror);
  expect(await send(text)).toContain(`HTTP/1.1 ${status}`);
  expect(asked).toEqual([]);
});

test("a refusal says how to allow the host, for plain HTTP and for CONNECT", async () => {
  const { send, noted } = await rig(mirror, { refuse: true });
  for (const text of [
    "GET http://b.example/ HTTP/1.1\r\nhost: b.example\r\n\r\n",
    "CONNECT b.example:443 HTTP/1.1\r\n\r\n",
  ]) {
    const answer = await send(text);
    expect(answer).toContain("HTTP/1.1 403");
    expect(answer).toContain("networking.allowed_hosts");
  }
  expect(noted.map(({ decision, port }) => [decision, port])).toEqual([
    ["denied", 80],
    ["denied", 443],
  ]);
});

test("CONNECT passes bytes both ways, those sent at once too", async () => {
  const { send } = await rig((socket) => socket.once("data", (data: Buffer) => socket.end(`got ${data.toString()}`)));
  expect(await send("CONNECT a.test:443 HTTP/1.1\r\n\r\nearly")).toBe(
    "HTTP/1.1 200 Connection established\r\n\r\ngot early",
  );
});

test("a head that never ends is not waited for", async () => {
  const { send, asked } = await rig(mirror, { headMs: 50 });
  expect(await send("GET http://a.test/ HTTP/1.1\r\nx: ")).toBe("");
  expect(asked).toEqual([]);
});

test("a server that breaks off does not look like a whole answer", async () => {
  const { send } = await rig((socket) =>
    socket.once("data", () => {
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\npart");
      setTimeout(() => socket.destroy(), 20);
    }),
  );
  const text = await send("GET http://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n");
  expect(text.endsWith("part") || text === "").toBe(true);
  const silent = await rig((socket) => socket.once("data", () => socket.destroy()));
  expect(await silent.send("GET http://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n")).toContain("HTTP/1.1 502");
});

test.each([
  ["a status that is none", "HTTP/1.1 099 x\r\ncontent-length: 1\r\n\r\na"],
  ["control characters in the reason", "HTTP/1.1 200 \x01x\r\ncontent-length: 1\r\n\r\na"],
  ["a protocol that nobody asked for", "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: other\r\n\r\na"],
])("a server that answers with %s harms nobody and is not waited for", async (_name, text) => {
  const { send } = await rig((socket) => socket.once("data", () => socket.write(text)));
  expect(await send("GET http://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n")).toMatch(
    /HTTP\/1.1 502[\s\S]*Longhaul: a\.test/,
  );
});

test("a thousand requests on one connection do not open a thousand", async () => {
  const { send, asked, noted } = await rig(mirror);
  const request = "GET http://a.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n";
  await send(request.repeat(1_000));
  expect(asked.length).toBeLessThanOrEqual(128);
  expect(noted.some(({ reason }) => reason.includes("128 connections"))).toBe(true);
});
