/** What programs in a sandbox, and hosts, may try with intercepted connections. Each must fail without a value leaving. */
import { setTimeout as sleep } from "node:timers/promises";
import * as tls from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { newId } from "../../../contract/ids.ts";
import { AuditLog } from "../../grants/audit.ts";
import { Grants } from "../../grants/grants.ts";
import { closeAll, eventually, firstUse, request, TOKEN, withServer } from "../testing/noting_server.ts";
import { rawConnect } from "../testing/raw_connect.ts";
import { HOST, readText, type TlsInternet } from "../testing/tls_internet.ts";
import { Exchange } from "./exchange.ts";
import type { Upstream } from "./upstream.ts";
import { Variables } from "./variables.ts";

afterEach(closeAll);

describe("a connection that is for another host than it says", () => {
  test("another name in the handshake", async () => {
    const { session, arrived } = await withServer();
    await expect(session.connect(HOST, { servername: "x.other.test" })).rejects.toThrow();
    expect(await firstUse(session)).toMatchObject({ decision: "refused", reason: "fronting" });
    expect(arrived).toEqual([]);
  });

  test("no name in the handshake", async () => {
    const { session, arrived } = await withServer();
    const { socket } = await rawConnect(session.broker.url, session.broker.token, `${HOST}:443`);
    const secured = tls.connect({ socket, ca: session.ca, servername: "", checkServerIdentity: () => undefined });
    secured.on("error", () => undefined);
    secured.write(request(session));
    expect(await readText(secured)).toBe("");
    expect(arrived).toEqual([]);
  });

  test.each(["x.other.test", `${HOST}:8443`, `${HOST}.evil.test`, `evil.test#${HOST}`, "", "127.0.0.1", `a@${HOST}`])(
    "the Host header %j",
    async (host) => {
      const { session, arrived } = await withServer();
      const answer = await session.send(request(session, "", host));
      expect(answer).toMatch(/^HTTP\/1.1 (421|400) /);
      expect(answer).toContain("longhaul-refused: ");
      expect(arrived).toEqual([]);
    },
  );

  test("two Host headers, none, and a whole URL", async () => {
    const { session, arrived } = await withServer();
    const { placeholder } = session;
    for (const text of [
      request(session, "host: x.other.test\r\n"),
      `GET / HTTP/1.1\r\nauthorization: ${placeholder}\r\n\r\n`,
      `GET / HTTP/1.0\r\nauthorization: ${placeholder}\r\n\r\n`,
      `GET https://x.other.test/ HTTP/1.1\r\nhost: ${HOST}\r\nauthorization: ${placeholder}\r\n\r\n`,
      `OPTIONS https://${HOST}/ HTTP/1.1\r\nhost: ${HOST}\r\nauthorization: ${placeholder}\r\n\r\n`,
    ]) {
      expect(await session.send(text)).toMatch(/^HTTP\/1.1 400 /);
    }
    expect(arrived).toEqual([]);
  });

  test("a tunnel inside the tunnel", async () => {
    const { session, arrived } = await withServer();
    const text = `CONNECT x.other.test:443 HTTP/1.1\r\nhost: ${HOST}\r\nauthorization: ${session.placeholder}\r\n\r\n`;
    expect(await session.send(text)).not.toMatch(/ 200 /);
    expect(arrived).toEqual([]);
  });
});

describe("a message that two servers would read differently", () => {
  test.each([
    ["length and chunks", "content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"],
    ["two lengths", "content-length: 5\r\ncontent-length: 6\r\n", "abcdef"],
    ["a length with a sign", "content-length: +5\r\n", "abcde"],
    ["chunks in disguise", "transfer-encoding: xchunked\r\n", "0\r\n\r\n"],
    ["chunks after another coding", "transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"],
    ["chunks twice", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"],
    ["a space before the colon", "content-length : 5\r\n", "abcde"],
    ["a folded header", "x: a\r\n b: c\r\n", ""],
    ["a bare line feed", "x: a\nb: c\r\n", ""],
    ["a bare carriage return", "x: a\rb: c\r\n", ""],
    ["a NUL", "x: a\0b\r\n", ""],
    ["a chunk's size that is none", "transfer-encoding: chunked\r\n", "-1\r\nabc\r\n0\r\n\r\n"],
    ["a chunk's size that overflows", "transfer-encoding: chunked\r\n", "ffffffffffffffff1\r\nabc\r\n0\r\n\r\n"],
  ])("%s", async (_name, headers, body) => {
    const { session, arrived } = await withServer();
    const smuggled = `GET /smuggled HTTP/1.1\r\nhost: ${HOST}\r\nx: ${session.placeholder}\r\n\r\n`;
    const head = `POST / HTTP/1.1\r\nhost: ${HOST}\r\nauthorization: ${session.placeholder}\r\n${headers}\r\n`;
    const answer = await session.send(head + body + smuggled);
    expect(answer).not.toMatch(/^HTTP\/1.1 2/);
    expect(arrived.join()).not.toContain("smuggled");
  });

  test("HTTP/2 is not spoken: by its preface, or agreed upon in the handshake", async () => {
    const { session, arrived } = await withServer();
    expect(await session.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")).not.toMatch(/^HTTP\/1.1 2/);
    await expect(session.connect(HOST, { ALPNProtocols: ["h2"] })).rejects.toThrow();
    const both = await session.connect(HOST, { ALPNProtocols: ["h2", "http/1.1"] });
    expect(both.alpnProtocol).toBe("http/1.1");
    both.destroy();
    expect(arrived).toEqual([]);
  });

  test("headers that concern one connection do not reach the host", async () => {
    const { session, arrived } = await withServer();
    const more =
      "proxy-authorization: Bearer x\r\nte: trailers\r\nkeep-alive: 5\r\nx-mine: 1\r\nconnection: x-mine\r\n";
    await session.send(`GET / HTTP/1.1\r\nhost: ${HOST}\r\n${more}connection: close\r\n\r\n`);
    expect(arrived).toHaveLength(1);
    expect(arrived[0]).not.toMatch(/proxy-authorization|"te"|x-mine|keep-alive":/);
  });

  test("a value cannot make headers of its own", async () => {
    const { session, arrived } = await withServer({ variables: [{ value: "a\r\nx-injected: 1" }] });
    const answer = await session.send(request(session));
    expect(answer).toMatch(/^HTTP\/1.1 502 /);
    expect(answer).toContain("cannot stand in the header authorization");
    expect(answer).not.toContain("x-injected");
    expect(arrived).toEqual([]);
    expect(await firstUse(session)).toMatchObject({ decision: "refused", reason: "value" });
  });
});

describe("a host that is not the host", () => {
  test.each([
    ["a certificate for another name", { certifies: () => "evil.test" }],
    ["a certificate that has ended", { expired: true }],
    ["a certificate that nobody vouches for", { roots: [] }],
  ])("%s", async (_name, options) => {
    const { session, arrived } = await withServer(options);
    const answer = await session.send(request(session));
    expect(answer).toMatch(/^HTTP\/1.1 502 /);
    expect(answer).toContain("no certificate that can be trusted");
    expect(arrived).toEqual([]);
    expect(await firstUse(session)).toMatchObject({ decision: expect.any(String) });
  });

  test("the certificate of our own authority does not count outside", async () => {
    const first = await withServer();
    // A stranger who has the authority's certificate, but not its key, is nobody; the broker does not even trust the key.
    const { session, arrived } = await withServer({ roots: [first.session.ca] });
    expect(await session.send(request(session))).toMatch(/^HTTP\/1.1 502 /);
    expect(arrived).toEqual([]);
  });

  test("an address of a private network, at the first connection and at a later one", async () => {
    const answers = [["203.0.113.7"], ["127.0.0.1"], ["10.0.0.1"]];
    const { net, session, arrived } = await withServer({ resolve: () => Promise.resolve(answers.shift() ?? []) });
    const socket = await session.connect();
    socket.write(`GET /1 HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`);
    await new Promise((resolve) => socket.once("data", resolve));
    // The host ends the kept connection, so that the next request needs another one.
    net.server.closeAllConnections();
    await sleep(50);
    socket.write(request(session));
    const answer = await readText(socket);
    expect(answer === "" || /^HTTP\/1.1 502 /.test(answer)).toBe(true);
    expect(arrived).toHaveLength(1);
    await expect(session.connect()).rejects.toThrow("address");
  });
});

describe("a credential that cannot be had", () => {
  test("a locked keychain: nothing is sent, and the program is told what to do", async () => {
    const { session, arrived } = await withServer();
    const { broker, keychain } = await session.relaunch();
    keychain.mode = "locked";
    const refused = await rawConnect(broker.url, broker.token, `${HOST}:443`);
    expect(refused).toMatchObject({ status: 503, headers: { "longhaul-refused": "credential" } });
    expect(refused.headers["longhaul-reason"]).toMatch(/is locked .* Unlock it/);
    // The certificate is had all the same, so that the sandbox need not be made anew when it is unlocked.
    const shown = (await (await broker.control("GET", "ca")).json()) as { certificate: string };
    expect(shown.certificate).toBe(session.ca);
    keychain.mode = "open";
    expect((await rawConnect(broker.url, broker.token, `${HOST}:443`)).status).toBe(200);
    expect(arrived).toEqual([]);
  });

  test("a purged value: the requests that need it are refused, others go", async () => {
    const { session, arrived } = await withServer();
    const secret_ids = session.grants.map(({ credential }) => credential.secret_id);
    await session.broker.control("POST", "credentials/purge", { secret_ids });
    const big = `${"x".repeat(2_000_000)}${session.placeholder}`;
    const bodies = [`a ${session.placeholder}`, big];
    for (const text of [
      request(session),
      ...bodies.map((body) => `POST / HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: ${body.length}\r\n\r\n${body}`),
    ]) {
      const answer = await session.send(text);
      expect(answer).toMatch(/^HTTP\/1.1 502 /);
      expect(answer).toContain("Archive the credential and create a new one.");
    }
    expect(arrived).toEqual([]);
    expect(await session.send(`GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`)).toMatch(
      /^HTTP\/1.1 200 /,
    );
    expect(await firstUse(session)).toMatchObject({ decision: "refused", reason: "value_missing" });
  });

  test("grants that are not known, as after a restart", async () => {
    const { session, arrived } = await withServer();
    const other = newId("session");
    const { token } = (await (await session.broker.control("POST", "capabilities", { session_id: other })).json()) as {
      token: string;
    };
    const policy = { mode: "limited", allowed_hosts: [HOST], intercept: true };
    await session.broker.control("POST", "egress", { session_id: other, policy });
    const refused = await rawConnect(session.broker.url, token, `${HOST}:443`);
    expect(refused).toMatchObject({ status: 403, headers: { "longhaul-refused": "grants_unknown" } });
    expect(arrived).toEqual([]);
  });

  test("grants that are taken back hold for the next request of an open connection", async () => {
    const { session, arrived } = await withServer();
    const socket = await session.connect();
    await session.setGrants([]);
    socket.write(request(session));
    expect(await readText(socket)).toMatch(/^HTTP\/1.1 200 /);
    expect(arrived[0]).toContain(session.placeholder);
    expect(arrived[0]).not.toContain(TOKEN);
  });

  test("a revoked capability ends what is open", async () => {
    const { session, net } = await withServer({ serve: () => undefined });
    const socket = await session.connect();
    socket.write(request(session));
    const ended = readText(socket);
    await eventually(() => openSockets(net) > 0);
    await session.broker.control("DELETE", `capabilities/${session.broker.sessionId}`);
    expect(await ended).toBe("");
    await eventually(() => openSockets(net) === 0);
    expect((await rawConnect(session.broker.url, session.broker.token, `${HOST}:443`)).status).toBe(407);
  });
});

test("a session that is forgotten while a refusal is written down does not end the broker", () => {
  const variables = new Variables(new Grants(), { open: () => Promise.reject(new Error("not asked for")) });
  const upstream = null as unknown as Upstream;
  const onFault = () => expect.unreachable();
  const audit = new AuditLog();
  const exchange = new Exchange({ sessionId: "sesn_gone", host: HOST, variables, audit, upstream, onFault });
  expect(() => exchange.refuseAll("fronting")).not.toThrow();
});

const counted = new WeakMap<TlsInternet, { count: number }>();
/** Connections that the server has open. */
function openSockets(net: TlsInternet): number {
  let known = counted.get(net);
  if (known === undefined) {
    known = { count: 0 };
    counted.set(net, known);
  }
  net.server.getConnections((_error, count) => {
    if (known !== undefined) known.count = count;
  });
  return known.count;
}
