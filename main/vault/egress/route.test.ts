import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import { stopBrokers, type TestBroker, testBroker } from "../testing/broker_client.ts";
import type { EgressOptions } from "./route.ts";
import { rawConnect, rawSend, readAll, tcpServer } from "./testing/raw_connect.ts";

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  await stopBrokers();
  await Promise.all(closing.splice(0).map((close) => close()));
});

/** A broker whose internet is one echo server, and whose names all lead to `addresses`. */
async function withEcho(options: EgressOptions & { addresses?: string[]; hosts?: string[] } = {}) {
  const echo = await tcpServer((socket) => socket.pipe(socket));
  closing.push(echo.close);
  const broker = await testBroker(
    {},
    {
      egress: {
        resolve: () => Promise.resolve(options.addresses ?? ["203.0.113.7"]),
        target: () => ({ host: "127.0.0.1", port: echo.port }),
        ...options,
      },
    },
  );
  await allow(broker, options.hosts ?? ["example.com", "*.example.org", "8.8.8.8", "10.0.0.1"]);
  return { broker, echo };
}

const allow = (broker: TestBroker, allowed_hosts: unknown) =>
  broker.control("POST", "egress", { session_id: broker.sessionId, policy: { mode: "limited", allowed_hosts } });

const eventually = async (condition: () => boolean) => {
  for (let tries = 0; tries < 200 && !condition(); tries++) await new Promise((resolve) => setTimeout(resolve, 10));
  expect(condition()).toBe(true);
};

/** Asks until the connection is made: a place is given back a moment after the socket has closed. */
async function untilOpen(broker: TestBroker, authority: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const { status, socket } = await rawConnect(broker.url, broker.token, authority);
    socket.destroy();
    if (status === 200) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect.unreachable("no place was given back");
}

describe("what is allowed", () => {
  test.each(["example.com:443", "EXAMPLE.com.:80", "a.b.example.org:443", "8.8.8.8:443"])("%s", async (authority) => {
    const { broker } = await withEcho();
    const { status, headers, socket } = await rawConnect(broker.url, broker.token, authority);
    expect(status).toBe(200);
    expect(headers["longhaul-rule"]).toBeDefined();
    socket.end("there and back");
    expect(await readAll(socket)).toBe("there and back");
  });

  test("bytes that follow the request at once are not lost", async () => {
    const { broker } = await withEcho();
    const auth = `proxy-authorization: Bearer ${broker.token}`;
    const { socket } = await rawSend(broker.url, `CONNECT example.com:443 HTTP/1.1\r\n${auth}\r\n\r\nearly `);
    socket.end("late");
    expect(await readAll(socket)).toBe("early late");
  });

  test("4 MB go both ways in order, and the end of each side is told apart", async () => {
    const { broker } = await withEcho();
    const { socket } = await rawConnect(broker.url, broker.token, "example.com:443");
    const body = "0123456789abcdef".repeat(256 * 1024);
    socket.end(body);
    expect((await readAll(socket)) === body).toBe(true);
  });
});

describe("what is refused", () => {
  test.each([
    ["another host", "example.net:443", 403, "host"],
    ["the name below which a wildcard allows", "example.org:443", 403, "host"],
    ["a name that only ends like it", "badexample.org:443", 403, "host"],
    ["an address that is not listed", "1.1.1.1:443", 403, "host"],
    ["an address in another notation", "0x08080808:443", 403, "host"],
    ["an IPv6 address", "[::1]:443", 403, "host"],
    ["a listed address of a private network", "10.0.0.1:443", 403, "address"],
    ["another port", "example.com:22", 403, "port"],
    ["port 0", "example.com:0", 400, "malformed"],
    ["a port that is none", "example.com:70000", 400, "malformed"],
    ["no port", "example.com", 400, "malformed"],
    ["a user", "user@example.com:443", 400, "malformed"],
    ["a whole URL", "http://example.com/?q=secret", 400, "malformed"],
  ])("%s", async (_name, authority, status, code) => {
    const { broker, echo } = await withEcho();
    const answer = await rawConnect(broker.url, broker.token, authority);
    expect(answer).toMatchObject({ status, headers: { "longhaul-refused": code } });
    expect(answer.headers["longhaul-reason"]).toMatch(/\.$/);
    expect(echo.sockets.size).toBe(0);
    expect(broker.logs.join()).not.toContain("secret");
    expect(broker.logs.join()).not.toContain(broker.token);
  });

  test.each([[["127.0.0.1"]], [["169.254.169.254"]], [["::1", "fd00::1", "::ffff:1.1.1.1"]]])(
    "a name that leads to %j",
    async (addresses) => {
      const { broker, echo } = await withEcho({ addresses });
      const answer = await rawConnect(broker.url, broker.token, "example.com:443");
      expect(answer).toMatchObject({ status: 403, headers: { "longhaul-refused": "address" } });
      expect(echo.sockets.size).toBe(0);
    },
  );

  test("a name that changes its address: the checked one is dialled, and it is looked up once", async () => {
    const answers = [["203.0.113.7"], ["127.0.0.1"]];
    const dialled: string[] = [];
    const echo = await tcpServer((socket) => socket.pipe(socket));
    closing.push(echo.close);
    const { broker } = await withEcho({
      resolve: () => Promise.resolve(answers.shift() ?? []),
      target: (address) => {
        dialled.push(address);
        return { host: "127.0.0.1", port: echo.port };
      },
    });
    const first = await rawConnect(broker.url, broker.token, "example.com:443");
    expect(first.status).toBe(200);
    const second = await rawConnect(broker.url, broker.token, "example.com:443");
    expect(second.headers["longhaul-refused"]).toBe("address");
    expect(dialled).toEqual(["203.0.113.7"]);
    first.socket.destroy();
  });

  test("of mixed addresses only the public one is dialled", async () => {
    const dialled: string[] = [];
    const { broker, echo } = await withEcho({ addresses: ["10.0.0.7", "203.0.113.9", "fe80::1"] });
    const answer = await rawConnect(broker.url, broker.token, "example.com:443");
    expect(answer.status).toBe(200);
    expect(dialled).toEqual([]);
    await eventually(() => echo.sockets.size === 1);
    answer.socket.destroy();
  });

  test("who has no token, a wrong one, the launch secret, or comes from a web page", async () => {
    const { broker } = await withEcho();
    for (const token of [null, "0".repeat(64), "5ec7e7".padEnd(64, "0"), "x".repeat(4_000)]) {
      const answer = await rawConnect(broker.url, token, "example.com:443");
      expect(answer).toMatchObject({ status: 407, headers: { "longhaul-refused": "capability" } });
    }
    const page = `CONNECT example.com:443 HTTP/1.1\r\norigin: http://evil.test\r\nproxy-authorization: Bearer ${broker.token}\r\n\r\n`;
    expect((await rawSend(broker.url, page)).status).toBe(407);
  });

  test("a session without a registered list: also after a restart, and after its capability was revoked", async () => {
    const broker = await testBroker({});
    const unknown = await rawConnect(broker.url, broker.token, "example.com:443");
    expect(unknown).toMatchObject({ status: 403, headers: { "longhaul-refused": "policy_unknown" } });
    const { broker: known } = await withEcho();
    const open = await rawConnect(known.url, known.token, "example.com:443");
    expect(open.status).toBe(200);
    await known.control("DELETE", `capabilities/${known.sessionId}`);
    expect(await readAll(open.socket).catch(() => "")).toBe("");
    const renewed = (await (await known.control("POST", "capabilities", { session_id: known.sessionId })).json()) as {
      token: string;
    };
    const again = await rawConnect(known.url, renewed.token, "example.com:443");
    expect(again.headers["longhaul-refused"]).toBe("policy_unknown");
  });

  test("one session's list says nothing about another's", async () => {
    const { broker } = await withEcho();
    const other = newId("session");
    const { token } = (await (await broker.control("POST", "capabilities", { session_id: other })).json()) as {
      token: string;
    };
    expect((await rawConnect(broker.url, token, "example.com:443")).headers["longhaul-refused"]).toBe("policy_unknown");
  });

  test.each([
    ["no policy", undefined],
    ["unrestricted", { mode: "unrestricted" }],
    ["no list", { mode: "limited" }],
    ["a pattern with a port", { mode: "limited", allowed_hosts: ["a.b:22"] }],
    ["a lone star", { mode: "limited", allowed_hosts: ["*"] }],
    ["a header in a pattern", { mode: "limited", allowed_hosts: ["a\r\nb"] }],
    ["too many", { mode: "limited", allowed_hosts: new Array(2_001).fill("a.b") }],
  ])("a list that is none: %s", async (_name, policy) => {
    const { broker } = await withEcho();
    const answer = await broker.control("POST", "egress", { session_id: broker.sessionId, policy });
    expect(answer.status).toBe(400);
    expect((await broker.control("POST", "egress", { session_id: "x", policy }, broker.token)).status).toBe(401);
  });

  test("a thousand patterns of full length are taken", async () => {
    const { broker } = await withEcho();
    const hosts = Array.from({ length: 1_000 }, (_, index) => `${"abc.".repeat(40)}h${index}.example`);
    expect((await allow(broker, hosts)).status).toBe(204);
  });
});

describe("limits", () => {
  test("connections per session; a closed one makes room", async () => {
    const { broker } = await withEcho({ limits: { perSession: 2 } });
    const [one, two] = [
      await rawConnect(broker.url, broker.token, "example.com:443"),
      await rawConnect(broker.url, broker.token, "example.com:443"),
    ];
    const third = await rawConnect(broker.url, broker.token, "example.com:443");
    expect(third).toMatchObject({ status: 429, headers: { "longhaul-refused": "limit" } });
    one.socket.destroy();
    await untilOpen(broker, "example.com:443");
    two.socket.destroy();
  });

  test("an answer that never comes: name and connection", async () => {
    const { broker } = await withEcho({ resolve: () => new Promise(() => undefined), limits: { connectMs: 50 } });
    const name = await rawConnect(broker.url, broker.token, "example.com:443");
    expect(name).toMatchObject({ status: 502, headers: { "longhaul-refused": "unresolved" } });
    // A listed address needs no name, so it does not wait for the stuck one; its port is closed.
    const { broker: closed } = await withEcho({ target: () => ({ host: "127.0.0.1", port: 1 }) });
    const refused = await rawConnect(closed.url, closed.token, "8.8.8.8:443");
    expect(refused).toMatchObject({ status: 502, headers: { "longhaul-refused": "unreachable" } });
    expect(refused.headers["longhaul-reason"]).toContain("ECONNREFUSED");
  });

  test("a silent connection ends, and one whose other half never ends", async () => {
    const { broker, echo } = await withEcho({ limits: { idleMs: 60 } });
    const silent = await rawConnect(broker.url, broker.token, "example.com:443");
    await readAll(silent.socket).catch(() => "");
    await eventually(() => echo.sockets.size === 0);
    const mute = await tcpServer((socket) => socket.resume());
    closing.push(mute.close);
    const { broker: second } = await withEcho({
      target: () => ({ host: "127.0.0.1", port: mute.port }),
      limits: { halfOpenMs: 60 },
    });
    const half = await rawConnect(second.url, second.token, "example.com:443");
    half.socket.end();
    expect(await readAll(half.socket).catch(() => "")).toBe("");
  });

  test("a caller who leaves while the name is looked up gives the place back", async () => {
    let asked = 0;
    const { broker } = await withEcho({
      resolve: (host) => {
        asked += 1;
        return host === "example.com" ? new Promise(() => undefined) : Promise.resolve(["203.0.113.7"]);
      },
      limits: { perSession: 1 },
    });
    const head = `CONNECT example.com:443 HTTP/1.1\r\nproxy-authorization: Bearer ${broker.token}\r\n\r\n`;
    const leaver = connect(Number(new URL(broker.url).port), "127.0.0.1", () => leaver.write(head));
    await eventually(() => asked === 1);
    expect((await rawConnect(broker.url, broker.token, "a.example.org:80")).headers["longhaul-refused"]).toBe("limit");
    leaver.destroy();
    // An address: the lookup that goes on holds up the other names of its own session, and of no other.
    await untilOpen(broker, "8.8.8.8:80");
  });

  test("a hundred connections at once to one name share a lookup", async () => {
    let lookups = 0;
    const { broker } = await withEcho({
      resolve: async () => {
        lookups += 1;
        await new Promise((resolve) => setTimeout(resolve, 100));
        return ["203.0.113.7"];
      },
    });
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => rawConnect(broker.url, broker.token, "example.com:443")),
    );
    expect(answers.every((answer) => answer.status === 200)).toBe(true);
    expect(lookups).toBeLessThan(5);
    for (const { socket } of answers) socket.destroy();
  });

  test("a sandbox that asks and asks does not fill the log", async () => {
    const { broker } = await withEcho();
    for (let asked = 0; asked < 300; asked++) await rawConnect(broker.url, broker.token, "closed.test:443");
    expect(broker.logs.filter((line) => line.includes("closed.test"))).toHaveLength(120);
  });

  test("garbage and huge heads are refused, and the broker goes on", async () => {
    const { broker } = await withEcho();
    expect((await rawSend(broker.url, "\x16\x03\x01\x02garbage\r\n\r\n")).status).toBe(400);
    const huge = `CONNECT example.com:443 HTTP/1.1\r\nx: ${"a".repeat(20_000)}\r\n\r\n`;
    expect((await rawSend(broker.url, huge)).status).toBe(431);
    const torn = await rawSend(broker.url, "CONNECT \r\n\r\n");
    expect(torn.status === 400 || torn.status === 407).toBe(true);
    expect((await broker.control("GET", "status")).status).toBe(200);
  });

  test("the broker closes although a tunnel is open", async () => {
    const { broker } = await withEcho();
    const { socket } = await rawConnect(broker.url, broker.token, "example.com:443");
    const began = Date.now();
    await broker.close(5_000);
    expect(Date.now() - began).toBeLessThan(1_000);
    socket.destroy();
  });
});
