import type { ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { constants, createGzip, gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import { newId } from "../../contract/ids.ts";
import { errorOf } from "../testing/broker_client.ts";
import {
  type Answer,
  call,
  cleanUp,
  countingServer,
  grant,
  granted,
  message,
  SERVER_ID,
  TOKEN,
  uses,
} from "./testing/granted.ts";

const more: (() => void)[] = [];
afterEach(async () => {
  for (const close of more.splice(0)) close();
  await cleanUp();
});

/** Opens an event stream and says one thing; `said` gives the response to go on with. */
function streaming(): { answer: Answer; said: ServerResponse[]; closed: () => number } {
  const said: ServerResponse[] = [];
  let closed = 0;
  return {
    said,
    closed: () => closed,
    answer: (response) => {
      response.on("close", () => (closed += 1));
      response.writeHead(200, { "content-type": "text/event-stream" }).write("event: message\ndata: 1\n\n");
      said.push(response);
    },
  };
}

function readerOf(response: Response): { next: () => Promise<string | null>; cancel: () => Promise<void> } {
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  return {
    next: async () => {
      const { value, done } = await reader.read();
      return done ? null : Buffer.from(value).toString();
    },
    cancel: () => reader.cancel(),
  };
}

const tcp = async (onData: (socket: import("node:net").Socket, nth: number) => void): Promise<string> => {
  let nth = 0;
  const server = createTcpServer((socket) => {
    socket.on("error", () => socket.destroy());
    more.push(() => socket.destroy());
    socket.on("data", () => onData(socket, nth++));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  more.push(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`;
};

describe("event streams", () => {
  test.each([
    ["POST", message("tools/call")],
    ["GET", null],
  ])("of a %s: each event at once", async (_method, body) => {
    const { answer, said } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url);
    const stream = readerOf(await call(broker, body));
    expect(await stream.next()).toBe("event: message\ndata: 1\n\n");
    said[0]?.write(": keep-alive\n\n");
    expect(await stream.next()).toBe(": keep-alive\n\n");
    said[0]?.end();
    expect(await stream.next()).toBeNull();
  });

  test("compressed ones, although nobody asked for that: decoded event by event, the token masked", async () => {
    const gzip = createGzip();
    const server = await countingServer((response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "content-encoding": "gzip" });
      gzip.pipe(response);
      gzip.write(`data: ${TOKEN}\n\n`);
      gzip.flush(constants.Z_SYNC_FLUSH);
    });
    const { broker } = await granted(server.url);
    const answer = await call(broker);
    expect(answer.headers.has("content-encoding")).toBe(false);
    const stream = readerOf(answer);
    expect(await stream.next()).toBe(`data: ${"*".repeat(TOKEN.length)}\n\n`);
    gzip.end();
    expect(await stream.next()).toBeNull();
  });

  test("the caller leaves: the server learns of it", async () => {
    const { answer, closed } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url);
    const stream = readerOf(await call(broker, null));
    await stream.next();
    await stream.cancel();
    await expect.poll(closed).toBe(1);
  });

  test("the caller leaves before the server begins to answer", async () => {
    let closed = 0;
    const server = await countingServer((response) => void response.on("close", () => (closed += 1)));
    const { broker } = await granted(server.url);
    const abort = new AbortController();
    const asked = call(broker, message("tools/call"), { signal: abort.signal });
    await expect.poll(() => server.arrived.length).toBe(1);
    abort.abort();
    await expect(asked).rejects.toThrow();
    await expect.poll(() => closed).toBe(1);
    // It cannot be told from here what the server did, so the use stays noted as it was.
    expect(await uses(broker)).toMatchObject([{ decision: "allowed", reason: "tools/call", count: 1 }]);
  });

  test("the server is killed in mid-stream: the caller sees a broken stream, never a short complete one", async () => {
    const { answer, said } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url);
    const response = await call(broker);
    said[0]?.socket?.resetAndDestroy();
    await expect(response.text()).rejects.toThrow();
    expect((await broker.control("GET", "status")).status).toBe(200);
  });

  test("a compressed body that ends too early is broken, too", async () => {
    const half = gzipSync("x".repeat(1000)).subarray(0, 12);
    const server = await countingServer((response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(half),
    );
    const { broker } = await granted(server.url);
    await expect((await call(broker)).text()).rejects.toThrow();
  });

  test("silence has an end: on streams of GET and of POST", async () => {
    const { answer } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url, { mcp: { streamIdleMs: 80, timeouts: { idleMs: 80 } } });
    await expect((await call(broker, null)).text()).rejects.toThrow();
    await expect((await call(broker)).text()).rejects.toThrow();
  });

  test("an archived session's streams end, and nobody else's", async () => {
    const { answer, closed } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url);
    const session_id = newId("session");
    const { token } = (await (await broker.control("POST", "capabilities", { session_id })).json()) as {
      token: string;
    };
    await grant(broker, [{ id: SERVER_ID, url: server.url, credential: null }], session_id);
    const mine = await call(broker, null);
    const others = readerOf(await call(broker, null, { headers: { authorization: `Bearer ${token}` } }));
    await others.next();
    expect((await broker.control("DELETE", `capabilities/${broker.sessionId}`)).status).toBe(204);
    await expect(mine.text()).rejects.toThrow();
    expect(closed()).toBe(1);
    await others.cancel();
  });

  test("grants that change end what they no longer give, and leave the rest", async () => {
    const { answer, closed, said } = streaming();
    const server = await countingServer(answer);
    const { broker, credential } = await granted(server.url);
    const stream = readerOf(await call(broker, null));
    await stream.next();
    await grant(broker, [{ id: SERVER_ID, url: server.url, credential }]);
    said[0]?.write("data: 2\n\n");
    expect(await stream.next()).toBe("data: 2\n\n");
    await grant(broker, [{ id: SERVER_ID, url: server.url, credential: null }]);
    await expect(stream.next()).rejects.toThrow();
    await expect.poll(closed).toBe(1);
  });

  test("after sleep streams of GET end, calls under way do not", async () => {
    const { answer, said } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url);
    const listening = await call(broker, null);
    const calling = await call(broker, message("tools/call"));
    await broker.control("POST", "drop_connections");
    await expect(listening.text()).rejects.toThrow();
    said[1]?.end("data: 2\n\n");
    expect(await calling.text()).toBe("event: message\ndata: 1\n\ndata: 2\n\n");
  });

  test("a broker that shuts down lets calls finish and does not wait for streams", async () => {
    const { answer, said } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url);
    const listening = await call(broker, null);
    const calling = await call(broker, message("tools/call"));
    const closed = broker.close(20_000);
    await expect(listening.text()).rejects.toThrow();
    said[1]?.end();
    expect(await calling.text()).toContain("data: 1");
    await closed;
  });
});

describe("bodies", () => {
  test("16 MiB pass, one byte more is refused and the connection stays usable", async () => {
    const server = await countingServer();
    const { broker } = await granted(server.url);
    const most = message("tools/call", { text: "" }).length;
    const fits = message("tools/call", { text: "x".repeat(16 * 1024 * 1024 - most) });
    expect((await call(broker, fits)).status).toBe(200);
    expect(server.arrived[0]?.body.length).toBe(16 * 1024 * 1024);
    expect(await errorOf(await call(broker, `${fits} `))).toMatchObject({ status: 413, type: "request_too_large" });
    expect(server.arrived).toHaveLength(1);
    expect((await call(broker)).status).toBe(200);
  });

  test("30 MB come back in order, without being held", async () => {
    const piece = "0123456789abcdef".repeat(64 * 1024);
    const server = await countingServer((response) => {
      for (let nth = 0; nth < 30; nth++) response.write(piece);
      response.end();
    });
    const { broker } = await granted(server.url);
    expect((await (await call(broker)).text()) === piece.repeat(30)).toBe(true);
  });

  test("an answer that unpacks to more than the limit is broken off", async () => {
    const bomb = gzipSync(Buffer.alloc(3 * 1024 * 1024));
    const server = await countingServer((response) =>
      response.writeHead(200, { "content-encoding": "gzip" }).end(bomb),
    );
    const { broker } = await granted(server.url, { mcp: { maxAnswerBytes: 1024 * 1024 } });
    const reader = (await call(broker)).body?.getReader();
    let size = 0;
    const all = async () => {
      for (let part = await reader?.read(); part?.done === false; part = await reader?.read())
        size += part.value.length;
    };
    await expect(all()).rejects.toThrow();
    expect(size).toBeLessThanOrEqual(1024 * 1024);
  });
});

describe("limits", () => {
  test("requests of one session; a finished one makes room", async () => {
    const { answer, said } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url, { mcp: { limits: { perSession: 2 } } });
    const [one] = [await call(broker), await call(broker, null)];
    const refused = await call(broker);
    expect(refused.headers.get("longhaul-refused")).toBe("limit");
    expect(await errorOf(refused)).toMatchObject({ status: 429, type: "rate_limit_error" });
    expect(server.arrived).toHaveLength(2);
    said[0]?.end();
    await one?.text();
    expect((await call(broker, null)).status).toBe(200);
  });

  test("requests of all sessions, and bytes that are held", async () => {
    const { answer } = streaming();
    const server = await countingServer(answer);
    const { broker } = await granted(server.url, { mcp: { limits: { total: 1, heldBytes: 1_000 } } });
    expect((await call(broker, message("tools/call", { text: "x".repeat(1_000) }))).status).toBe(429);
    const stream = await call(broker);
    expect(stream.status).toBe(200);
    const session_id = newId("session");
    const { token } = (await (await broker.control("POST", "capabilities", { session_id })).json()) as {
      token: string;
    };
    await grant(broker, [{ id: SERVER_ID, url: server.url, credential: null }], session_id);
    expect((await call(broker, null, { headers: { authorization: `Bearer ${token}` } })).status).toBe(429);
    expect(server.arrived).toHaveLength(1);
  });
});

describe("a server that fails", () => {
  test("nothing listens", async () => {
    const server = await countingServer();
    const { broker } = await granted(server.url);
    await new Promise((resolve) => server.server.close(resolve));
    const error = await errorOf(await call(broker));
    expect(error).toMatchObject({ status: 502, code: "endpoint_unreachable" });
    expect(error.message).toContain("The MCP server 127.0.0.1");
    expect(error.message).not.toContain("ANTHROPIC");
  });

  test("it never begins to answer", async () => {
    const server = await countingServer(() => undefined);
    const { broker } = await granted(server.url, { mcp: { timeouts: { headersMs: 60 } } });
    const error = await errorOf(await call(broker));
    expect(error).toMatchObject({ status: 504, code: "endpoint_timeout" });
    expect(error.message).toContain("Whether it took effect is not known.");
  });

  test.each([
    ["hangs up", ""],
    ["speaks another protocol", "SSH-2.0-OpenSSH\r\n\r\n"],
    ["changes the protocol", "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"],
    ["has endless headers", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}\r\n\r\n`],
    ["gives two lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}"],
  ])("it %s", async (_name, text) => {
    const { broker } = await granted(await tcp((socket) => socket.end(text)));
    expect(await errorOf(await call(broker))).toMatchObject({ status: 502, code: "endpoint_failed" });
  });

  /** Answers the first request of a connection and cuts the connection off at the second. */
  const cutOff = async (count: { requests: number }): Promise<string> =>
    tcp((socket) => {
      count.requests += 1;
      if (count.requests === 2) return socket.resetAndDestroy();
      socket.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });

  test("a connection that closes just then: what only reads is asked again", async () => {
    const count = { requests: 0 };
    const { broker } = await granted(await cutOff(count));
    await (await call(broker)).text();
    expect([(await call(broker)).status, count.requests]).toEqual([200, 3]);
  });

  test("a connection that closes just then: a tool call is never sent twice", async () => {
    const count = { requests: 0 };
    const { broker } = await granted(await cutOff(count));
    await (await call(broker)).text();
    const error = await errorOf(await call(broker, message("tools/call")));
    expect(error).toMatchObject({ status: 502, code: "endpoint_failed" });
    expect(error.message).toContain("Whether it took effect is not known.");
    expect(count.requests).toBe(2);
  });
});
