import { type Duplex, PassThrough } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, expect, test } from "vitest";
import type { ExecStream } from "../../../runner/stream.ts";
import { FRAME, FrameReader, type FrameType, frameHeader, MAX_CONNECTIONS, WINDOW, windowFrame } from "./frames.ts";
import { RelayLink } from "./link.ts";

const links: RelayLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close();
});

/** A link to a relay that the test plays. */
function rig() {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  let close: () => void = () => undefined;
  const stream: ExecStream = {
    stdin,
    stdout,
    stderr: () => "",
    closed: new Promise((resolve) => {
      close = resolve;
    }),
    destroy: () => {
      stdin.destroy();
      stdout.destroy();
      close();
    },
  };
  const connections: Duplex[] = [];
  const link = new RelayLink(stream, (connection) => connections.push(connection));
  links.push(link);
  const reader = new FrameReader();
  const sent: { type: FrameType; connection: number; size: number }[] = [];
  const listen = () =>
    stdin.on("data", (chunk: Buffer) => {
      for (const frame of reader.push(chunk))
        sent.push({ type: frame.type, connection: frame.connection, size: frame.payload.length });
    });
  const say = (type: FrameType, connection: number, payload = Buffer.alloc(0)) =>
    stdout.write(Buffer.concat([frameHeader(type, connection, payload.length), payload]));
  return { link, connections, stdout, stdin, sent, listen, say, destroy: stream.destroy };
}

const total = (sent: { type: FrameType; size: number }[], type: FrameType) =>
  sent.filter((frame) => frame.type === type).reduce((sum, { size }) => sum + size, 0);

test("frames cut at every byte are the same frames", () => {
  const bytes = Buffer.concat([frameHeader(FRAME.data, 7, 3), Buffer.from("abc"), windowFrame(7, 9)]);
  for (let size = 1; size < bytes.length; size++) {
    const reader = new FrameReader();
    const frames = [];
    for (let at = 0; at < bytes.length; at += size) frames.push(...reader.push(bytes.subarray(at, at + size)));
    expect(frames.map(({ type, connection, payload }) => [type, connection, payload.length])).toEqual([
      [FRAME.data, 7, 3],
      [FRAME.window, 7, 4],
    ]);
  }
});

test.each([
  ["bytes that are no frame", Buffer.from("hello world, this is not a frame")],
  ["a frame of 4 GB", frameHeader(FRAME.data, 1, 0xffff_ffff)],
  ["a connection opened twice", Buffer.concat([frameHeader(FRAME.open, 1, 0), frameHeader(FRAME.open, 1, 0)])],
])("%s ends the relay and everything in it", async (_name, bytes) => {
  const { link, connections, say, stdout } = rig();
  say(FRAME.open, 5);
  stdout.write(bytes);
  await link.closed;
  expect(connections[0]?.destroyed).toBe(true);
  expect(await link.alive(1_000)).toBe(false);
});

test("a relay that sends more than its window is not listened to any longer", async () => {
  const { link, say } = rig();
  say(FRAME.open, 1);
  for (let sent = 0; sent <= 8 * WINDOW; sent += 65_536) say(FRAME.data, 1, Buffer.alloc(65_536));
  expect(await link.closed).toContain("rules");
});

test("only what was read is confirmed, so that an unread connection holds one window", async () => {
  const { connections, say, sent, listen } = rig();
  listen();
  say(FRAME.open, 1);
  for (let at = 0; at < WINDOW; at += 65_536) say(FRAME.data, 1, Buffer.alloc(65_536));
  await sleep(20);
  const confirmed = sent.filter(({ type }) => type === FRAME.window).length;
  expect(confirmed).toBeLessThanOrEqual(1);
  connections[0]?.resume();
  await sleep(20);
  expect(sent.filter(({ type }) => type === FRAME.window).length).toBeGreaterThanOrEqual(3);
});

test("no more is sent than the window, and one stuck connection does not hold up another", async () => {
  const { connections, stdout, say, sent, listen } = rig();
  listen();
  say(FRAME.open, 1);
  say(FRAME.open, 2);
  await sleep(5);
  connections[0]?.write(Buffer.alloc(10 * WINDOW));
  connections[1]?.write(Buffer.alloc(1_000));
  await sleep(20);
  expect(
    total(
      sent.filter(({ connection }) => connection === 1),
      FRAME.data,
    ),
  ).toBe(WINDOW);
  expect(
    total(
      sent.filter(({ connection }) => connection === 2),
      FRAME.data,
    ),
  ).toBe(1_000);
  // More credit than was ever taken is not believed.
  stdout.write(windowFrame(1, 0xffff_ffff));
  await sleep(20);
  expect(
    total(
      sent.filter(({ connection }) => connection === 1),
      FRAME.data,
    ),
  ).toBe(2 * WINDOW);
});

test("frames for connections that are not there are passed over", async () => {
  const { link, say, sent, listen } = rig();
  listen();
  for (const type of [FRAME.data, FRAME.end, FRAME.reset]) say(type, 99, Buffer.from("x"));
  const alive = link.alive(1_000);
  say(FRAME.ping, 0);
  expect(await alive).toBe(true);
  await sleep(5);
  expect(sent).toEqual([{ type: FRAME.ping, connection: 0, size: 0 }]);
});

test("a flood of connections is reset beyond a bound", async () => {
  const { connections, say, sent, listen } = rig();
  listen();
  for (let id = 1; id <= 3 * MAX_CONNECTIONS; id++) say(FRAME.open, id);
  await sleep(20);
  expect(connections).toHaveLength(2 * MAX_CONNECTIONS);
  expect(sent.filter(({ type }) => type === FRAME.reset)).toHaveLength(MAX_CONNECTIONS);
});

test("a connection that both sides end is told nothing more; one that is dropped is reset", async () => {
  const { connections, say, sent, listen } = rig();
  listen();
  say(FRAME.open, 1);
  say(FRAME.open, 2);
  await sleep(5);
  connections[0]?.resume();
  connections[0]?.end();
  say(FRAME.end, 1);
  connections[1]?.destroy();
  await sleep(20);
  expect(sent.map(({ type, connection }) => [type, connection])).toEqual([
    [FRAME.end, 1],
    [FRAME.reset, 2],
  ]);
});

test("the program ends: its connections end, and what it said is the reason", async () => {
  const { link, connections, say, destroy } = rig();
  const listening = link.listening(1_000);
  say(FRAME.hello, 0);
  expect(await listening).toBeNull();
  say(FRAME.open, 1);
  await sleep(5);
  destroy();
  expect(await link.closed).toBe("it ended");
  expect(connections[0]?.destroyed).toBe(true);
});

test("a relay that cannot listen, or says nothing, is a reason", async () => {
  const failed = rig();
  const reason = failed.link.listening(1_000);
  failed.say(FRAME.failed, 0, Buffer.from("port 3128 in the container is taken by another program"));
  expect(await reason).toContain("3128");
  expect(await rig().link.listening(20)).toContain("in time");
});

test("a relay that opens and never reads is not written to without end", async () => {
  const { link, say, stdin } = rig();
  for (let id = 1; id <= 200_000 && !stdin.destroyed; id++) {
    say(FRAME.open, id);
    if (id % 1_000 === 0) await sleep(0);
  }
  expect(stdin.destroyed).toBe(true);
  expect(await link.closed).toContain("did not read");
});

test("a window of single bytes that nobody reads takes little memory, and arrives whole", async () => {
  const { connections, stdout, say } = rig();
  say(FRAME.open, 1);
  await sleep(5);
  const count = WINDOW - 1;
  // Each byte is followed by a frame for nobody, so that keeping the byte in place would keep that too.
  const idle = Buffer.concat([frameHeader(FRAME.data, 99, 4_000), Buffer.alloc(4_000)]);
  const before = process.memoryUsage();
  for (let at = 0; at < count; at += 1_024) {
    const parts: Buffer[] = [];
    for (let byte = at; byte < Math.min(count, at + 1_024); byte++) {
      parts.push(frameHeader(FRAME.data, 1, 1), Buffer.from([byte & 0xff]));
    }
    stdout.write(Buffer.concat([...parts, idle]));
    await sleep(0);
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  expect(heapUsed + arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(16 * 1024 * 1024);
  const got: Buffer[] = [];
  connections[0]?.on("data", (chunk: Buffer) => got.push(chunk));
  say(FRAME.end, 1);
  await sleep(50);
  const whole = Buffer.concat(got);
  expect(whole.length).toBe(count);
  expect(whole.every((byte, index) => byte === (index & 0xff))).toBe(true);
});
