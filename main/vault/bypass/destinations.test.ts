/** Where a credential goes: attempts to have the broker carry it, or the request, to another address than the granted one. */
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import {
  brokerWithStore,
  call,
  cleanUp,
  countingServer,
  grant,
  granted,
  message,
  SERVER_ID,
  seal,
  sealToken,
  TOKEN,
  uses,
} from "../mcp/testing/granted.ts";
import { errorOf, testBroker } from "../testing/broker_client.ts";
import { certificateFor } from "./testing/certificate.ts";
import { PUBLIC_ADDRESS } from "./testing/world.ts";

const closing: (() => void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await cleanUp();
});

const resolving = (...addresses: string[]) => ({
  mcp: { resolve: () => Promise.resolve(addresses), target: () => "127.0.0.1" },
});

describe("a redirect", () => {
  test.each<[string, number, (origin: string, evil: string) => string]>([
    ["to another host", 307, (_origin, evil) => `${evil}/mcp`],
    ["to another host for good", 308, (_origin, evil) => `${evil}/mcp`],
    ["to another port of the same host", 307, (_origin, evil) => evil.replace("localhost", "127.0.0.1")],
    ["to another scheme", 307, (origin) => origin.replace("http:", "https:")],
    ["without a scheme", 307, (_origin, evil) => evil.replace("http:", "")],
    ["with backslashes", 307, (_origin, evil) => evil.replace("http://", "\\\\")],
    ["with a line break", 307, (_origin, evil) => evil.replace("//", "\t//")],
    ["to the same host with a user", 307, (origin) => origin.replace("http://", "http://u:p@")],
    ["to a name of the same address", 307, (origin) => origin.replace("127.0.0.1", "localhost")],
    ["that changes the method, within the origin", 302, (origin) => `${origin}/x`],
    ["that is seen elsewhere, within the origin", 303, (origin) => `${origin}/x`],
    ["for good, within the origin", 301, () => "/x"],
    ["to a file", 307, () => "file:///etc/passwd"],
    ["to a script", 307, () => "data:application/json,{}"],
    ["to no address", 307, () => "http://"],
    ["with choices", 300, () => "/x"],
  ])("%s", async (_name, status, location) => {
    const evil = await countingServer();
    const server = await countingServer((response, { path }) => {
      if (path !== "/mcp") return void response.writeHead(200).end("{}");
      response.writeHead(status, { location: location(origin, evil.url.replace("127.0.0.1", "localhost")) }).end();
    });
    const origin = server.url;
    const { broker } = await granted(`${origin}/mcp`);
    const answer = await call(broker);
    expect(answer.headers.has("location")).toBe(false);
    expect(await errorOf(answer)).toMatchObject({ status: 502, code: "endpoint_redirected" });
    expect([server.arrived.length, evil.connections]).toEqual([1, 0]);
  });

  test("without a destination, and one that never ends", async () => {
    const server = await countingServer((response) => response.writeHead(307).end());
    const { broker } = await granted(server.url);
    expect(await errorOf(await call(broker))).toMatchObject({ code: "endpoint_redirected" });
    server.answer = (response) => response.writeHead(307, { location: "/" }).end();
    expect(await errorOf(await call(broker))).toMatchObject({ code: "endpoint_redirected" });
    expect(server.arrived.length).toBeLessThan(7);
  });

  test("of the model endpoint", async () => {
    const evil = await countingServer();
    for (const status of [301, 302, 303, 307, 308]) {
      const model = await countingServer((response) => response.writeHead(status, { location: evil.url }).end());
      const broker = await testBroker({ base_url: model.url, api_key: "sk-ant-canary-redirect" });
      expect(await errorOf(await broker.model("/v1/models"))).toMatchObject({ code: "endpoint_redirected" });
    }
    expect(evil.connections).toBe(0);
  });
});

describe("a name", () => {
  test("that is public is called under that name, at the address that was checked", async () => {
    const server = await countingServer();
    const url = `http://mcp.example.com:${server.port}/mcp`;
    const { broker } = await granted(url, resolving(PUBLIC_ADDRESS), null);
    expect((await call(broker)).status).toBe(200);
    expect(server.arrived[0]?.headers.host).toBe(`mcp.example.com:${server.port}`);
  });

  test.each([
    ["loopback", "127.0.0.1"],
    ["a private network", "10.1.2.3"],
    ["the metadata service", "169.254.169.254"],
    ["loopback of IPv6", "::1"],
    ["a mapped address", "::ffff:127.0.0.1"],
  ])("that leads to %s", async (_name, address) => {
    const server = await countingServer();
    const { broker } = await granted(`https://mcp.example.com:${server.port}/mcp`, resolving(address));
    const error = await errorOf(await call(broker));
    expect(error).toMatchObject({ status: 403, type: "permission_error", code: "address_refused" });
    expect(error.message).toContain("write its address itself");
    expect(server.connections).toBe(0);
    expect(await uses(broker)).toContainEqual(
      expect.objectContaining({ decision: "refused", host: `mcp.example.com:${server.port}` }),
    );
  });

  test("that is public first and private for the next connection", async () => {
    const answers = [[PUBLIC_ADDRESS], ["127.0.0.1"]];
    const server = await countingServer();
    const options = { mcp: { resolve: () => Promise.resolve(answers.shift() ?? []), target: () => "127.0.0.1" } };
    const { broker } = await granted(`http://mcp.example.com:${server.port}/`, options, null);
    await (await call(broker)).text();
    await broker.control("POST", "drop_connections");
    expect(await errorOf(await call(broker))).toMatchObject({ code: "address_refused" });
    expect(server.connections).toBe(1);
  });

  test("that ends like localhost or an address", async () => {
    for (const host of ["localhost.", "localhost.example.com", "127.0.0.1.nip.io", "a.localhost"]) {
      const server = await countingServer();
      const { broker } = await granted(`http://${host}:${server.port}/`, resolving("127.0.0.1"), null);
      expect(await errorOf(await call(broker))).toMatchObject({ code: "address_refused" });
      expect(server.connections).toBe(0);
    }
  });

  test("without encryption gets no credential", async () => {
    const server = await countingServer();
    const { broker } = await granted(`http://mcp.example.com:${server.port}/`, resolving(PUBLIC_ADDRESS));
    expect(await errorOf(await call(broker))).toMatchObject({ status: 400, code: "endpoint_misconfigured" });
    expect(server.connections).toBe(0);
  });
});

describe("an address in the grant", () => {
  test.each(["http://169.254.169.254/", "http://0xa9fea9fe/", "http://[::ffff:169.254.169.254]/", "http://0.0.0.0/"])(
    "%s",
    async (url) => {
      const { broker } = await granted(url, {}, null);
      expect(await errorOf(await call(broker, message("initialize")))).toMatchObject({ code: "address_refused" });
    },
  );

  test.each(["ftp://127.0.0.1/", "file:///etc/passwd", "javascript:0", "unix:/run/docker.sock", "//127.0.0.1/"])(
    "%s is no address of a server",
    async (url) => {
      const broker = await brokerWithStore();
      const grants = { mcp_servers: [{ id: SERVER_ID, url, credential: null }], repositories: [], variables: [] };
      const answer = await broker.control("POST", "grants", { session_id: broker.sessionId, grants });
      expect(answer.status).toBe(400);
    },
  );

  test("that the credential is not bound to: another path, another port, another scheme", async () => {
    const server = await countingServer();
    const broker = await brokerWithStore();
    const credential = await sealToken(broker, `${server.url}/mcp`);
    for (const url of [
      `${server.url}/other`,
      `${server.url}/mcp?x`,
      `http://127.0.0.1:1/mcp`,
      `${server.url.replace("http", "https")}/mcp`,
    ]) {
      await grant(broker, [{ id: SERVER_ID, url, credential }]);
      expect(await errorOf(await call(broker))).toMatchObject({ status: 403, code: "not_granted" });
    }
    // The same in another spelling is the same.
    await grant(broker, [{ id: SERVER_ID, url: `${server.url}/mcp/`, credential }]);
    expect((await call(broker)).status).toBe(200);
    expect(server.arrived).toHaveLength(1);
  });

  test("a credential of a sandbox's variable, or another session's repository, is no server's", async () => {
    const server = await countingServer();
    const broker = await brokerWithStore();
    const auth = {
      type: "environment_variable",
      secret_name: server.url,
      networking: { type: "unrestricted" },
    } as never;
    const credential = await seal(broker, auth, { secret_value: TOKEN });
    await grant(broker, [{ id: SERVER_ID, url: server.url, credential }]);
    expect((await call(broker)).status).toBeGreaterThanOrEqual(400);
    expect(server.connections).toBe(0);
  });
});

describe("certificates", () => {
  const before = getCACertificates("default");
  afterEach(() => setDefaultCACertificates(before));

  async function secureServer(name: string) {
    const { key, certificate } = certificateFor(name);
    const seen: { requests: number; names: unknown[]; protocols: unknown[] } = {
      requests: 0,
      names: [],
      protocols: [],
    };
    const server = createServer({ key, cert: certificate, ALPNProtocols: ["h2", "http/1.1"] }, (_request, response) => {
      seen.requests += 1;
      response.end("{}");
    });
    server.on("secureConnection", (socket) => {
      seen.names.push(socket.servername);
      seen.protocols.push(socket.alpnProtocol);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    closing.push(() => {
      server.closeAllConnections();
      server.close();
    });
    return { port: (server.address() as AddressInfo).port, certificate, seen };
  }

  test("one that is trusted and has the server's name: that name is asked for, in HTTP/1.1", async () => {
    const { port, certificate, seen } = await secureServer("mcp.example.com");
    setDefaultCACertificates([...before, certificate]);
    const { broker } = await granted(`https://mcp.example.com:${port}/`, resolving(PUBLIC_ADDRESS));
    expect((await call(broker)).status).toBe(200);
    expect(seen).toEqual({ requests: 1, names: ["mcp.example.com"], protocols: ["http/1.1"] });
  });

  test.each([
    ["is not trusted", "mcp.example.com", false],
    ["is of another name", "other.example.com", true],
    ["is of the address that the name leads to", PUBLIC_ADDRESS, true],
  ])("one that %s: neither credential nor message is sent", async (_name, subject, trusted) => {
    const { port, certificate, seen } = await secureServer(subject);
    if (trusted) setDefaultCACertificates([...before, certificate]);
    const { broker } = await granted(`https://mcp.example.com:${port}/`, resolving(PUBLIC_ADDRESS));
    const error = await errorOf(await call(broker));
    expect(error).toMatchObject({ status: 502, code: "endpoint_failed" });
    expect(error.message).toContain("certificate");
    expect(seen.requests).toBe(0);
  });
});
