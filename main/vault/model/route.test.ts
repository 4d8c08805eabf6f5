import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { errorOf, stopBrokers, type TestBroker, testBroker } from "../testing/broker_client.ts";

const KEY = "sk-ant-canary-route";
const ask = { model: "claude-sonnet-5-5", max_tokens: 100, messages: [{ role: "user", content: "hi" }] };

const servers: Server[] = [];
afterEach(async () => {
  await stopBrokers();
  for (const server of servers.splice(0)) server.close();
});

interface Seen {
  request: IncomingMessage;
  body: string;
}

/** An endpoint that answers as told; `seen` holds what it was asked. */
async function endpoint(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: Seen[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      seen.push({ request, body: Buffer.concat(parts).toString() });
      answer(request, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  servers.push(server);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, seen, server };
}

const ok = (_request: IncomingMessage, response: ServerResponse): void => void response.end("{}");

describe("what reaches the endpoint", () => {
  test("the exact bytes and the caller's headers, the credential replaced, nothing of the connection", async () => {
    const { url, seen } = await endpoint(ok);
    const broker = await testBroker({ base_url: `${url}/gate`, api_key: KEY, auth_token: "tok-canary" });
    const body = `{ "model" : "claude-sonnet-5-5",\n "x": "ü\\u00fc" }`;
    await broker.model("/v1/messages?beta=true", body, {
      "anthropic-beta": "one,two",
      cookie: "a=b",
      "x-forwarded-for": "1.2.3.4",
      "x-api-key": "own",
      te: "trailers",
      "accept-encoding": "gzip",
    });
    const { request, body: received } = seen[0] as Seen;
    expect(received).toBe(body);
    expect(request.url).toBe("/gate/v1/messages?beta=true");
    expect(request.headers).toMatchObject({
      "x-api-key": KEY,
      authorization: "Bearer tok-canary",
      "anthropic-beta": "one,two",
      "anthropic-version": "2023-06-01",
      "accept-encoding": "identity",
      host: new URL(url).host,
    });
    for (const name of ["cookie", "te", "x-forwarded-for", "origin"]) expect(request.headers).not.toHaveProperty(name);
    expect(JSON.stringify(request.headers)).not.toContain(broker.token);
  });

  test("no credential at all where none is set", async () => {
    const { url, seen } = await endpoint(ok);
    const broker = await testBroker({ base_url: url });
    const response = await broker.model("/v1/messages", ask);
    expect(response.headers.get("longhaul-endpoint")).toBe("environment");
    expect(seen[0]?.request.headers).not.toHaveProperty("authorization");
    expect(seen[0]?.request.headers).not.toHaveProperty("x-api-key");
  });

  test.each([
    ["POST", "/v1/files"],
    ["POST", "/v1/messages/batches"],
    ["GET", "/v1/messages"],
    ["POST", "/v1/models"],
    ["GET", "/v1/models/..%2f..%2fadmin"],
    ["GET", "/v1/models/%2e%2e"],
    ["GET", "/v1/models/a/b"],
    ["GET", "/v1/models/%zz"],
    ["GET", "/v1/organizations"],
  ])("%s %s is refused and never sent", async (method, path) => {
    const { url, seen } = await endpoint(ok);
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const response = await broker.model(path, method === "POST" ? {} : undefined);
    expect(await errorOf(response)).toMatchObject({ status: 404, type: "not_found_error" });
    expect(seen).toEqual([]);
  });

  test("models and token counts pass", async () => {
    const { url, seen } = await endpoint(ok);
    const broker = await testBroker({ base_url: url, api_key: KEY });
    for (const path of ["/v1/models", "/v1/models/claude-sonnet-5-5", "/v1/models/hf.co%2Fqwen:7b"])
      await broker.model(path);
    await broker.model("/v1/messages/count_tokens", ask);
    expect(seen.map((item) => `${item.request.method} ${item.request.url}`)).toEqual([
      "GET /v1/models",
      "GET /v1/models/claude-sonnet-5-5",
      "GET /v1/models/hf.co%2Fqwen:7b",
      "POST /v1/messages/count_tokens",
    ]);
  });

  test("a body over 32 MB is refused here", async () => {
    const { url, seen } = await endpoint(ok);
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const response = await broker.model("/v1/messages", "x".repeat(32 * 1024 * 1024 + 1));
    expect(await errorOf(response)).toMatchObject({ status: 413, type: "request_too_large" });
    expect(seen).toEqual([]);
  });

  test("the demo model never reaches an endpoint; a mention of it does", async () => {
    const { url, seen } = await endpoint(ok);
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const demo = await broker.model("/v1/messages", { ...ask, model: "longhaul-demo" });
    expect([demo.status, demo.headers.get("longhaul-endpoint")]).toEqual([200, "demo"]);
    expect(await demo.text()).not.toContain(KEY);
    expect(seen).toEqual([]);
    await broker.model("/v1/messages", { ...ask, system: "what is longhaul-demo?" });
    expect(seen).toHaveLength(1);
  });
});

describe("what comes back", () => {
  test("status, body, retry-after and request-id are kept; cookies and connection headers are not", async () => {
    const { url } = await endpoint((_request, response) => {
      response.writeHead(429, {
        "retry-after": "7",
        "request-id": "req_9",
        "set-cookie": "a=b",
        "keep-alive": "timeout=9",
      });
      response.end('{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}');
    });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const response = await broker.model("/v1/messages", ask);
    expect(response.headers.get("retry-after")).toBe("7");
    expect(response.headers.get("request-id")).toBe("req_9");
    expect(response.headers.get("set-cookie")).toBeNull();
    expect(await errorOf(response)).toMatchObject({ status: 429, message: "slow down" });
  });

  test("the first event arrives while the endpoint still holds back the rest", async () => {
    let rest: () => void = () => undefined;
    const { url } = await endpoint((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("event: a\ndata: 1\n\n");
      rest = () => void response.end("event: b\ndata: 2\n\n");
    });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const response = await broker.model("/v1/messages", { ...ask, stream: true });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("event: a\ndata: 1\n\n");
    rest();
    expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe("event: b\ndata: 2\n\n");
    expect((await reader.read()).done).toBe(true);
  });

  test("a stream that breaks at the endpoint breaks at the caller: it is never a short complete one", async () => {
    const { url } = await endpoint((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write("event: a\ndata: 1\n\n");
      setTimeout(() => response.socket?.resetAndDestroy(), 20);
    });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const response = await broker.model("/v1/messages", { ...ask, stream: true });
    await expect(response.text()).rejects.toThrow();
  });

  test("the caller's abort reaches the endpoint", async () => {
    let closed = false;
    const { url, seen } = await endpoint((_request, response) => {
      response.on("close", () => (closed = true));
      response.writeHead(200);
      response.write("x");
    });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const abort = new AbortController();
    const response = await broker.model("/v1/messages", ask, {}, abort.signal);
    expect(seen).toHaveLength(1);
    abort.abort();
    await expect(response.text()).rejects.toThrow();
    await expect.poll(() => closed).toBe(true);
  });

  test("a redirect is not followed: the key stays", async () => {
    const other = await endpoint(ok);
    const { url } = await endpoint((_request, response) => {
      response.writeHead(307, { location: `${other.url}/v1/messages` }).end();
    });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const response = await broker.model("/v1/messages", ask);
    expect(response.headers.get("location")).toBeNull();
    expect(await errorOf(response)).toMatchObject({ status: 502, code: "endpoint_redirected" });
    expect(other.seen).toEqual([]);
  });
});

describe("an echoed key", () => {
  const echoing = (body: (key: string) => string | Buffer, headers: Record<string, string> = {}, status = 401) =>
    endpoint((request, response) => {
      response.writeHead(status, { "x-debug": String(request.headers["x-api-key"]), ...headers });
      response.end(body(String(request.headers["x-api-key"])));
    });

  async function everything(broker: TestBroker, response: Response): Promise<string> {
    const headers = JSON.stringify([...response.headers]);
    return `${headers}${await response.text()}${broker.logs.join("")}${await (await broker.control("GET", "status")).text()}`;
  }

  test("in error body and header", async () => {
    const { url } = await echoing((key) => JSON.stringify({ error: { message: `invalid key ${key}` } }));
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const response = await broker.model("/v1/messages", ask);
    expect(response.status).toBe(401);
    const text = await everything(broker, response);
    expect(text).toContain("invalid key ***");
    expect(text).not.toContain(KEY);
  });

  test("in a successful stream, cut into single bytes", async () => {
    const { url } = await endpoint((_request, response) => {
      response.writeHead(200);
      for (const byte of `data: ${KEY}\n\n`) response.write(byte);
      response.end();
    });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    expect(await (await broker.model("/v1/messages", ask)).text()).toBe(`data: ${"*".repeat(KEY.length)}\n\n`);
  });

  test("in a compressed body that nobody asked for", async () => {
    const { url } = await echoing((key) => gzipSync(`you sent ${key}`), { "content-encoding": "gzip" });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const text = await everything(broker, await broker.model("/v1/messages", ask));
    expect(text).toContain("you sent ***");
    expect(text).not.toContain(KEY);
  });

  test("in a coding that cannot be read the answer is withheld", async () => {
    const { url } = await echoing((key) => key, { "content-encoding": "rot13" });
    const broker = await testBroker({ base_url: url, api_key: KEY });
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({
      status: 502,
      code: "endpoint_failed",
    });
  });
});

describe("an endpoint that fails", () => {
  test("nothing listens: unreachable, with the host and what to check", async () => {
    const { url, server } = await endpoint(ok);
    await new Promise((resolve) => server.close(resolve));
    const broker = await testBroker({ base_url: url, api_key: KEY });
    const error = await errorOf(await broker.model("/v1/messages", ask));
    expect(error).toMatchObject({ status: 502, type: "api_error", code: "endpoint_unreachable" });
    expect(error.message).toContain(new URL(url).host);
    expect(error.message).toContain("ANTHROPIC_BASE_URL");
    expect(broker.logs.join("")).not.toContain(KEY);
  });

  test("a name that does not resolve is unreachable", async () => {
    const broker = await testBroker({ base_url: "http://longhaul.invalid", api_key: KEY });
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({
      status: 502,
      code: "endpoint_unreachable",
    });
  });

  async function tcp(onData: (socket: import("node:net").Socket) => void) {
    const server = createTcpServer((socket) => {
      socket.on("error", () => socket.destroy());
      socket.once("data", () => onData(socket));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test("it hangs up without an answer: failed, not offline", async () => {
    const broker = await testBroker({ base_url: await tcp((socket) => socket.destroy()), api_key: KEY });
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({
      status: 502,
      code: "endpoint_failed",
    });
  });

  test("it answers garbage", async () => {
    const broker = await testBroker({
      base_url: await tcp((socket) => socket.end("SSH-2.0-OpenSSH\r\n\r\n")),
      api_key: KEY,
    });
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({
      status: 502,
      code: "endpoint_failed",
    });
  });

  test("its headers are endless", async () => {
    const url = await tcp((socket) => socket.write(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`));
    const broker = await testBroker({ base_url: url, api_key: KEY });
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({
      status: 502,
      code: "endpoint_failed",
    });
  });

  test("it never begins to answer", async () => {
    const { url } = await endpoint(() => undefined);
    const broker = await testBroker({ base_url: url, api_key: KEY }, { timeouts: { headersMs: 60 } });
    expect(await errorOf(await broker.model("/v1/messages", ask))).toMatchObject({
      status: 504,
      type: "timeout_error",
      code: "endpoint_timeout",
    });
  });

  test("it goes silent in mid-stream", async () => {
    const { url } = await endpoint((_request, response) => void response.writeHead(200).write("data: 1\n\n"));
    const broker = await testBroker({ base_url: url, api_key: KEY }, { timeouts: { idleMs: 60 } });
    await expect((await broker.model("/v1/messages", ask)).text()).rejects.toThrow();
  });
});

describe("pooled connections", () => {
  const ports = (seen: Seen[]) => new Set(seen.map((item) => item.request.socket.remotePort)).size;

  test("are used again, and dropped on request", async () => {
    const { url, seen } = await endpoint(ok);
    const broker = await testBroker({ base_url: url, api_key: KEY });
    await (await broker.model("/v1/messages", ask)).text();
    await (await broker.model("/v1/messages", ask)).text();
    expect(ports(seen)).toBe(1);
    expect((await broker.control("POST", "drop_connections")).status).toBe(204);
    await (await broker.model("/v1/messages", ask)).text();
    expect(ports(seen)).toBe(2);
  });

  test("one that the endpoint closed meanwhile costs a new connection, not the request", async () => {
    let connections = 0;
    const server = createTcpServer((socket) => {
      connections += 1;
      socket.once("data", () => {
        socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
        socket.once("data", () => socket.resetAndDestroy());
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    servers.push(server);
    const broker = await testBroker({
      base_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      api_key: KEY,
    });
    await (await broker.model("/v1/messages", ask)).text();
    const second = await broker.model("/v1/messages", ask);
    expect([second.status, await second.text(), connections]).toEqual([200, "{}", 2]);
  });
});
