import type { IncomingMessage, RequestListener } from "node:http";
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { brotliCompressSync, gunzipSync, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { stopBrokers } from "../../testing/broker_client.ts";
import type { EgressOptions } from "../route.ts";
import {
  HOST,
  type InterceptedSession,
  interceptedSession,
  readText,
  removeFolders,
  type TestVariable,
  type TlsInternet,
  tlsInternet,
} from "../testing/tls_internet.ts";

const VALUE = 's3cret/"value"+äöü';
const TOKEN = "plain-token-1";

interface Seen {
  url: string | undefined;
  headers: IncomingMessage["headers"];
  rawTrailers: string[];
  /** Of the connection. */
  port: number | undefined;
  body: Buffer;
}

const closing: TlsInternet[] = [];
afterEach(async () => {
  await stopBrokers();
  await Promise.all(closing.splice(0).map((net) => net.close()));
  await removeFolders();
});

async function withServer(
  serve: RequestListener,
  variables: TestVariable[] = [{ value: TOKEN }],
  options: EgressOptions = {},
) {
  const net = await tlsInternet(serve);
  closing.push(net);
  return { net, session: await interceptedSession(net, variables, options) };
}

/** A server that notes what it gets and echoes it. */
async function withEcho(variables?: TestVariable[]): Promise<{ seen: Seen[]; session: InterceptedSession }> {
  const seen: Seen[] = [];
  const { session } = await withServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks);
      seen.push({
        url: request.url,
        headers: request.headers,
        rawTrailers: request.rawTrailers,
        port: request.socket.remotePort,
        body,
      });
      response.setHeader("x-echo", request.headers.authorization ?? "none");
      response.end(`echo ${request.headers.authorization} ${body}`);
    });
  }, variables);
  return { seen, session };
}

const get = (headers = "", path = "/", method = "GET") =>
  `${method} ${path} HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n${headers}\r\n`;

const post = (type: string, body: string, headers = "") => {
  const said = type === "" ? "" : `content-type: ${type}\r\n`;
  return get(`${said}content-length: ${Buffer.byteLength(body)}\r\n${headers}`, "/", "POST") + body;
};

const bodyOf = (answer: string) => answer.slice(answer.indexOf("\r\n\r\n") + 4);
const uses = async (session: InterceptedSession) => {
  const answer = await session.broker.control("GET", "audit?written=0");
  return ((await answer.json()) as { data: { decision: string; reason: string; host: string; count: number }[] }).data;
};

describe("a value takes its placeholder's place", () => {
  test("in a header, is masked in what comes back, and the use is noted", async () => {
    const { seen, session } = await withEcho();
    const answer = await session.send(get(`authorization: Bearer ${session.placeholder}\r\n`));
    expect(seen[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/);
    expect(answer).toContain("x-echo: Bearer *************");
    expect(answer).not.toContain(TOKEN);
    expect(await uses(session)).toMatchObject([
      { host: HOST, decision: "allowed", reason: "put into a header of a GET request", route: "egress", count: 1 },
    ]);
    expect(session.broker.logs.join()).not.toContain(TOKEN);
  });

  test("in Basic credentials", async () => {
    const { seen, session } = await withEcho([{ value: VALUE }]);
    const given = Buffer.from(`me:${session.placeholder}`).toString("base64");
    const answer = await session.send(get(`authorization: Basic ${given}\r\n`));
    const sent = seen[0]?.headers.authorization ?? "";
    expect(Buffer.from(sent.slice(6), "base64").toString()).toBe(`me:${VALUE}`);
    expect(answer).not.toContain(sent.slice(12, 30));
  });

  test.each([
    ["JSON", "application/json; charset=utf-8", (p: string) => `{"key":"${p}"}`, (b: string) => JSON.parse(b).key],
    [
      "JSON of another name",
      "application/vnd.api+json",
      (p: string) => `{"key":"${p}"}`,
      (b: string) => JSON.parse(b).key,
    ],
    [
      "a form",
      "application/x-www-form-urlencoded",
      (p: string) => `a=1&key=${p}`,
      (b: string) => new URLSearchParams(b).get("key"),
    ],
    ["text", "text/plain", (p: string) => p, (b: string) => b],
    ["no type", "", (p: string) => p, (b: string) => b],
    [
      "multipart",
      "multipart/form-data; boundary=x",
      (p: string) => `--x\r\n\r\n${p}\r\n--x--`,
      (b: string) => b.split("\r\n")[2],
    ],
  ])("in a body of %s, with its new length", async (_name, type, make, read) => {
    const { seen, session } = await withEcho([{ value: VALUE }]);
    const answer = await session.send(post(type, make(session.placeholder)));
    expect(answer).toMatch(/^HTTP\/1.1 200/);
    const body = seen[0]?.body ?? Buffer.alloc(0);
    expect(read(body.toString())).toBe(VALUE);
    expect(seen[0]?.headers["content-length"]).toBe(String(body.length));
    expect(bodyOf(answer)).not.toContain("s3cret");
  });

  test("in a chunked body, whatever its chunks, and in its trailers", async () => {
    const { seen, session } = await withEcho();
    const pieces = [...`{"key":"${session.placeholder}"}`].map((char) => `1\r\n${char}\r\n`).join("");
    const head = get("content-type: application/json\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n", "/", "POST");
    await session.send(`${head}${pieces}0\r\nx-sum: ${session.placeholder}\r\n\r\n`);
    expect(seen[0]?.body.toString()).toBe(`{"key":"${TOKEN}"}`);
    expect(seen[0]?.rawTrailers).toEqual(["x-sum", TOKEN]);
    expect(await uses(session)).toMatchObject([{ reason: "put into the body and a header of a POST request" }]);
  });

  test("in a body of 3 MB, which passes by", async () => {
    const { seen, session } = await withEcho();
    const filler = "x".repeat(3 * 1024 * 1024);
    await session.send(post("text/plain", `${filler}${session.placeholder}${filler}`));
    expect(seen[0]?.headers["transfer-encoding"]).toBe("chunked");
    expect(seen[0]?.body.equals(Buffer.from(filler + TOKEN + filler))).toBe(true);
  });

  test("for a host below a pattern, an address, and every host", async () => {
    for (const [hosts, host] of [
      [["*.other.test"], "a.other.test"],
      [null, "b.other.test"],
      [["203.0.113.7"], "203.0.113.7"],
    ] as const) {
      const { seen, session } = await withEcho([{ value: TOKEN, hosts: hosts === null ? null : [...hosts] }]);
      await session.setPolicy({ mode: "limited", allowed_hosts: [host], intercept: true });
      const socket = await session.connect(host, host === "203.0.113.7" ? { servername: "", host } : {});
      socket.write(`GET / HTTP/1.1\r\nhost: ${host}:443\r\nconnection: close\r\nx: ${session.placeholder}\r\n\r\n`);
      await readText(socket);
      expect(seen[0]?.headers["x"]).toBe(TOKEN);
      expect(seen[0]?.headers.host).toBe(host);
    }
  });

  test("in an unrestricted sandbox, at any public host", async () => {
    const { seen, session } = await withEcho();
    expect((await session.setPolicy({ mode: "unrestricted", intercept: true })).status).toBe(204);
    await session.send(get(`authorization: ${session.placeholder}\r\n`));
    expect(seen[0]?.headers.authorization).toBe(TOKEN);
    expect((await session.setPolicy({ mode: "unrestricted" })).status).toBe(400);
  });

  test("several requests share a connection, and each of them is looked at", async () => {
    const { seen, session } = await withEcho();
    const one = `POST /1 HTTP/1.1\r\nhost: ${HOST}\r\nx: ${session.placeholder}\r\ncontent-length: 3\r\n\r\nabc`;
    const answer = await session.send(`${one}${get(`x: ${session.placeholder}\r\n`, "/2")}`);
    expect(seen.map(({ url, headers }) => [url, headers["x"]])).toEqual([
      ["/1", TOKEN],
      ["/2", TOKEN],
    ]);
    expect(answer.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2);
    expect(new Set(seen.map(({ port }) => port)).size).toBe(1);
  });
});

describe("a placeholder stays what it is", () => {
  test("in the URL", async () => {
    const { seen, session } = await withEcho();
    await session.send(get("", `/${session.placeholder}?key=${session.placeholder}`));
    expect(seen[0]?.url).toBe(`/${session.placeholder}?key=${session.placeholder}`);
    // The next use is the first that is noted.
    await session.send(get(`x: ${session.placeholder}\r\n`));
    expect(await uses(session)).toMatchObject([{ reason: "put into a header of a GET request", count: 1 }]);
  });

  test("where its credential does not allow it", async () => {
    const { seen, session } = await withEcho([
      { value: "in-body-only", header: false },
      { value: "in-header-only", body: false },
    ]);
    const [inBody, inHeader] = session.grants.map(({ placeholder }) => placeholder);
    await session.send(post("text/plain", `${inBody} ${inHeader}`, `x: ${inBody} ${inHeader}\r\n`));
    expect(seen[0]?.headers["x"]).toBe(`${inBody} in-header-only`);
    expect(seen[0]?.body.toString()).toBe(`in-body-only ${inHeader}`);
  });

  test("in compressed and binary bodies, which arrive as they were sent", async () => {
    const { seen, session } = await withEcho();
    const bytes = gzipSync(session.placeholder);
    const head = (more: string) => get(`content-length: ${bytes.length}\r\n${more}`, "/", "PUT");
    const send = async (more: string) => {
      const socket = await session.connect();
      socket.write(head(more));
      socket.write(bytes);
      return readText(socket);
    };
    await send("content-type: application/json\r\ncontent-encoding: gzip\r\n");
    await send("content-type: application/octet-stream\r\n");
    for (const { body, headers } of seen) {
      expect(gunzipSync(body).toString()).toBe(session.placeholder);
      expect(headers["content-length"]).toBe(String(bytes.length));
    }
    expect(seen).toHaveLength(2);
  });

  test("at another host: tunnelled, or with that host's own values only", async () => {
    const { seen, session } = await withEcho([{ value: TOKEN }, { value: "for the other", hosts: ["x.other.test"] }]);
    const [mine, other] = session.grants.map(({ placeholder }) => placeholder);
    const request = `GET / HTTP/1.1\r\nhost: x.other.test\r\nconnection: close\r\nx: ${mine} ${other}\r\n\r\n`;
    await session.send(request, "x.other.test");
    expect(seen[0]?.headers["x"]).toBe(`${mine} for the other`);
    // No variable is for this one: the certificate is the host's own, which the sandbox's authority did not sign.
    await expect(session.connect("y.other.test")).rejects.toThrow(/certificate|issuer/);
  });

  test("when it is another session's", async () => {
    const { seen, session } = await withEcho();
    const { session: other } = await withEcho([{ value: "of another session" }]);
    await session.send(get(`x: ${other.placeholder}\r\n`));
    expect(seen[0]?.headers["x"]).toBe(other.placeholder);
  });

  test("when the sealed credential is for other hosts than the engine says", async () => {
    const { seen, session } = await withEcho([{ value: TOKEN, sealedHosts: ["elsewhere.test"] }]);
    await session.send(get(`x: ${session.placeholder}\r\n`));
    expect(seen[0]?.headers["x"]).toBe(session.placeholder);
  });

  test("on port 80", async () => {
    const { session, net } = await withServer((_request, response) => void response.end());
    const plain = await session.broker.control("GET", "status");
    expect(plain.status).toBe(200);
    const raw = connect(Number(new URL(session.broker.url).port), "127.0.0.1");
    const got: Buffer[] = [];
    net.server.removeAllListeners("connection");
    net.server.on("connection", (socket) => {
      socket.on("data", (chunk: Buffer) => got.push(chunk));
    });
    raw.write(
      `CONNECT ${HOST}:80 HTTP/1.1\r\nproxy-authorization: Bearer ${session.broker.token}\r\n\r\nx ${session.placeholder}`,
    );
    for (let tries = 0; tries < 200 && got.length === 0; tries++) await sleep(10);
    raw.destroy();
    expect(Buffer.concat(got).toString()).toBe(`x ${session.placeholder}`);
  });
});

describe("what a host echoes", () => {
  const echo = `{"you sent":"${VALUE.replaceAll('"', '\\"')}"}`;

  test.each([
    ["gzip", gzipSync(echo)],
    ["br", brotliCompressSync(echo)],
  ])("is masked under %s, and comes decoded to who asked for it", async (coding, bytes) => {
    const { session } = await withServer(
      (_request, response) => {
        response.writeHead(200, { "content-encoding": coding, "content-length": bytes.length }).end(bytes);
      },
      [{ value: VALUE }],
    );
    const answer = await session.send(get("accept-encoding: deflate, gzip;q=0.9, br\r\n"));
    expect(answer.toLowerCase()).not.toContain("content-encoding");
    expect(answer).toMatch(/\{"you sent":"\*+"\}/);
  });

  test("stays gzip for who did not ask for it", async () => {
    const { session } = await withServer(
      (request, response) => {
        expect(request.headers["accept-encoding"]).toBe("identity");
        response.writeHead(200, { "content-encoding": "gzip", connection: "close" }).end(gzipSync(echo));
      },
      [{ value: VALUE }],
    );
    const socket = await session.connect();
    socket.write(`GET / HTTP/1.0\r\nhost: ${HOST}\r\n\r\n`);
    const answer = await readText(socket);
    expect(answer).toContain("content-encoding: gzip");
    expect(gunzipSync(Buffer.from(bodyOf(answer), "latin1")).toString()).toMatch(/^\{"you sent":"\*+"\}$/);
  });

  test.each([["zip"], ["gzip, br"]])("is not passed on when it is coded as %s", async (coding) => {
    const { session } = await withServer((_request, response) => {
      response.writeHead(200, { "content-encoding": coding }).end("?");
    });
    const answer = await session.send(get());
    expect(answer).toMatch(/^HTTP\/1.1 502/);
    expect(answer).toContain("Longhaul: The host's answer is compressed in a way");
  });

  test("is masked across chunks, keeps its length, and a start of it does not wait for ever", async () => {
    const { session } = await withServer((_request, response) => {
      response.writeHead(200, { "content-length": TOKEN.length + 6 });
      response.write(`<${TOKEN.slice(0, 5)}`);
      setTimeout(() => response.write(`${TOKEN.slice(5)}>`), 30);
      setTimeout(() => response.write(` ${TOKEN.slice(0, 1)}`), 60);
      setTimeout(() => response.end("!!"), 1_500);
    });
    const socket = await session.connect();
    socket.write(get());
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    for (let tries = 0; tries < 100 && !text.endsWith("p"); tries++) await sleep(10);
    expect(bodyOf(text)).toBe("<*************> p");
    expect(bodyOf(text + (await readText(socket)))).toBe("<*************> p!!");
  });

  test("has no values in redirects, status texts and trailers, and leads nowhere past this connection", async () => {
    const { session } = await withServer((_request, response) => {
      response.writeHead(302, `Moved ${TOKEN}`, {
        location: `https://evil.test/?k=${TOKEN}`,
        "alt-svc": 'h3=":443"',
        trailer: "x-sum",
      });
      response.write("gone");
      response.addTrailers({ "x-sum": TOKEN });
      response.end();
    });
    const answer = await session.send(get(`authorization: ${session.placeholder}\r\n`));
    expect(answer).not.toContain(TOKEN);
    expect(answer).toContain("Location: https://evil.test/?k=*************".replace("L", "l"));
    expect(answer).toContain("x-sum: *************");
    expect(answer.toLowerCase()).not.toContain("alt-svc");
  });

  test.each(["HEAD", "GET"])("a %s without a body", async (method) => {
    const { session } = await withServer((request, response) => {
      if (request.method === "HEAD") response.writeHead(200, { "content-length": 1234, "content-encoding": "gzip" });
      else response.writeHead(304, { etag: '"x"' });
      response.end();
    });
    const answer = await session.send(get("accept-encoding: gzip\r\n", "/", method));
    expect(answer).toMatch(method === "HEAD" ? /200 OK\r\n(.+\r\n)*content-length: 1234/i : /304 Not Modified/);
  });
});
