/** Too much, too slow, too broken: what an intercepted connection does with it. */
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { closeAll, eventually, request, withServer } from "../testing/noting_server.ts";
import { rawConnect } from "../testing/raw_connect.ts";
import { HOST, type InterceptedSession, readText } from "../testing/tls_internet.ts";

afterEach(closeAll);

describe("limits", () => {
  test("an endless body and an endless answer do not fill memory, and end with their connection", async () => {
    let received = 0;
    let gone = false;
    const { session } = await withServer({
      serve: (incoming, response) => {
        incoming.on("data", (chunk: Buffer) => {
          received += chunk.length;
        });
        incoming.on("error", () => undefined);
        response.on("close", () => {
          gone = true;
        });
        const more = () => {
          while (!response.destroyed && response.write("x".repeat(65_536)));
        };
        response.on("drain", more);
        more();
      },
    });
    const socket = await session.connect();
    const before = process.memoryUsage().arrayBuffers;
    socket.write(`POST / HTTP/1.1\r\nhost: ${HOST}\r\ntransfer-encoding: chunked\r\n\r\n`);
    const chunk = `10000\r\n${"y".repeat(65_536)}\r\n`;
    const pump = () => {
      while (!socket.destroyed && socket.write(chunk));
    };
    socket.on("drain", pump);
    pump();
    // Nobody reads the answer: what is held of it is bounded.
    await eventually(() => received > 20_000_000);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64_000_000);
    socket.destroy();
    await eventually(() => gone);
  });

  test("requests ahead of their answers", async () => {
    const { session, arrived } = await withServer({ serve: () => undefined });
    const one = `GET / HTTP/1.1\r\nhost: ${HOST}\r\n\r\n`;
    expect(await session.send(one.repeat(2_000))).toBe("");
    expect(arrived.length).toBeLessThan(2);
  });

  test("headers that are too large", async () => {
    const { session, arrived } = await withServer();
    expect(await session.send(request(session, `x: ${"a".repeat(70_000)}\r\n`))).toMatch(/^HTTP\/1.1 431 /);
    expect(arrived).toEqual([]);
  });

  test("a body that grows without measure", async () => {
    const { session, arrived } = await withServer({ variables: [{ value: "v".repeat(30_000) }] });
    const body = session.placeholder.repeat(20_000);
    const text = `POST / HTTP/1.1\r\nhost: ${HOST}\r\ncontent-length: ${body.length}\r\n\r\n${body}`;
    expect(await session.send(text)).toMatch(/^HTTP\/1.1 413 /);
    expect(arrived).toEqual([]);
  });

  test("silence: in the handshake, before a request, and before an answer", async () => {
    const { session } = await withServer({
      serve: () => undefined,
      limits: { idleMs: 150, connectMs: 300, perSession: 3 },
    });
    const { socket: mute } = await rawConnect(session.broker.url, session.broker.token, `${HOST}:443`);
    const idle = await session.connect();
    const waiting = await session.connect();
    waiting.write(request(session));
    expect(await Promise.all([readText(idle), readText(waiting)])).toEqual(["", ""]);
    await new Promise((resolve) => mute.resume().once("close", resolve).once("end", resolve));
    mute.destroy();
    // Their places were given back.
    await eventuallyOpen(session);
  });

  test("an answer that breaks off does not look complete", async () => {
    const { session } = await withServer({
      serve: (_incoming, response) => {
        response.writeHead(200, { "content-length": 100 });
        response.write("half");
        setTimeout(() => response.destroy(), 20);
      },
    });
    const answer = await session.send(request(session));
    expect(answer).toContain("half");
    expect(answer).toMatch(/content-length: 100/i);
    // Another connection works.
    expect((await session.connect()).authorized).toBe(true);
  });

  test.each([
    ["an answer that is none", "garbage\r\n\r\n"],
    ["a status below 100", "HTTP/1.1 099 x\r\n\r\n"],
    ["a header with a control character", "HTTP/1.1 200 OK\r\nx: a\x01b\r\ncontent-length: 0\r\n\r\n"],
    ["another protocol that nobody asked for", "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: y\r\n\r\n"],
  ])("%s", async (_name, text) => {
    const { session } = await withServer({ serve: (incoming) => void incoming.socket.end(text) });
    expect(await session.send(request(session))).toMatch(/^HTTP\/1.1 502 /);
  });
});

async function eventuallyOpen(session: InterceptedSession): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const { status, socket } = await rawConnect(session.broker.url, session.broker.token, `${HOST}:443`);
    socket.destroy();
    if (status === 200) return;
    await sleep(10);
  }
  expect.unreachable("no place was given back");
}
