import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import type { TimelineFrame } from "../contract/local_api.ts";
import { LocalClient } from "./client.ts";
import { CommandFailed } from "./command.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

let servers: Server[] = [];

afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  servers = [];
});

async function listen(handler: Handler): Promise<string> {
  const server = createServer(handler);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function clientOf(url: string): LocalClient {
  return new LocalClient(() => Promise.resolve({ url, token: "t" }));
}

function stored(seq: number): TimelineFrame {
  const event = { id: `sevt_${seq}`, type: "agent.thinking" as const, processed_at: "2026-11-22T10:00:00.000Z" };
  return {
    type: "stored",
    stored: { seq, session_id: "sesn_1", thread_id: "sthr_1", created_at: "2026-11-22T10:00:00.000Z", event },
  };
}

function sse(...frames: object[]): string {
  return frames
    .map((frame) => `event: ${(frame as { type: string }).type}\ndata: ${JSON.stringify(frame)}\n\n`)
    .join("");
}

async function take(client: LocalClient, count: number, after = 0): Promise<TimelineFrame[]> {
  const frames: TimelineFrame[] = [];
  for await (const frame of client.timeline("sesn_1", after, AbortSignal.timeout(5000))) {
    frames.push(frame);
    if (frames.length === count) break;
  }
  return frames;
}

const seqs = (frames: TimelineFrame[]) =>
  frames.map((frame) => (frame.type === "stored" ? frame.stored.seq : frame.type));

describe("timeline", () => {
  test("goes on behind the last event when the connection dies, without loss or repetition", async () => {
    const asked: string[] = [];
    const url = await listen((request, response) => {
      asked.push(request.url ?? "");
      response.writeHead(200, { "content-type": "text/event-stream" });
      if (asked.length === 1) {
        response.write(sse(stored(1), stored(2)));
        response.write(sse(stored(3)).slice(0, -5));
        setTimeout(() => response.destroy(), 20);
      } else {
        response.write(sse(stored(2), stored(3), { type: "caught_up", seq: 3 }, stored(4)));
      }
    });
    expect(seqs(await take(clientOf(url), 5))).toEqual([1, 2, 3, "caught_up", 4]);
    expect(asked).toEqual([
      "/longhaul/v1/sessions/sesn_1/timeline?after=0",
      "/longhaul/v1/sessions/sesn_1/timeline?after=2",
    ]);
  });

  test("finds an engine that came back elsewhere", async () => {
    const first = await listen((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(sse(stored(1)));
    });
    const second = await listen((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(sse(stored(2)));
    });
    let url = first;
    const client = new LocalClient(() => {
      const now = url;
      url = second;
      return Promise.resolve({ url: now, token: "t" });
    });
    expect(seqs(await take(client, 2))).toEqual([1, 2]);
  });

  test("frames cut anywhere, comments and CRLF make no difference", async () => {
    const text = `: ping\r\n\r\n${sse(stored(1), { type: "tool_output", tool_use_id: "x", chunk: "grün ✓" }).replaceAll("\n", "\r\n")}`;
    const url = await listen(async (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      for (const byte of Buffer.from(text)) {
        response.write(Buffer.from([byte]));
        await new Promise((resolve) => setImmediate(resolve));
      }
    });
    expect((await take(clientOf(url), 2))[1]).toEqual({ type: "tool_output", tool_use_id: "x", chunk: "grün ✓" });
  });

  test("a restarting engine's 503 and an old token's 401 pass; a missing session does not", async () => {
    const answers = [503, 401, 200];
    const url = await listen((_request, response) => {
      const status = answers.shift() ?? 500;
      response.writeHead(status, { "content-type": "text/event-stream" });
      response.end(status === 200 ? sse(stored(1)) : "{}");
    });
    expect(seqs(await take(clientOf(url), 1))).toEqual([1]);
    const missing = await listen((_request, response) => {
      response.writeHead(404);
      response.end('{"type":"error","error":{"type":"not_found_error","message":"Session \\"sesn_1\\" not found."}}');
    });
    await expect(take(clientOf(missing), 1)).rejects.toThrow('Session "sesn_1" not found.');
  });

  test("an engine that is gone for good ends it with its words", async () => {
    const client = new LocalClient(() => Promise.reject(new CommandFailed("The engine was stopped.")));
    await expect(take(client, 1)).rejects.toThrow("The engine was stopped.");
  });

  test("garbage ends it instead of being asked for again and again", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end("event: stored\ndata: {broken\n\n");
    });
    await expect(take(clientOf(url), 1)).rejects.toThrow("not JSON");
  });

  test("ends with `deleted`", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.end(sse(stored(1), { type: "deleted" }));
    });
    expect(seqs(await take(clientOf(url), 9))).toEqual([1, "deleted"]);
  });

  test("ends when its signal aborts, also between connections", async () => {
    const url = await listen((_request, response) => response.writeHead(500).end());
    const stop = new AbortController();
    setTimeout(() => stop.abort(), 100);
    const frames = [];
    for await (const frame of clientOf(url).timeline("sesn_1", 0, stop.signal)) frames.push(frame);
    expect(frames).toEqual([]);
  });
});

describe("requests", () => {
  test("carry the token, and all pages of the session list are read", async () => {
    const asked: string[] = [];
    const url = await listen((request, response) => {
      asked.push(`${request.headers.authorization} ${request.url}`);
      const last = request.url?.includes("page=p2") === true;
      response.writeHead(200, { "content-type": "application/json" });
      response.end(JSON.stringify({ data: [{ id: last ? "b" : "a" }], next_page: last ? null : "p2" }));
    });
    const ids: string[] = [];
    for await (const { id } of clientOf(url).sessions()) ids.push(id);
    expect(ids).toEqual(["a", "b"]);
    expect(asked[0]).toBe("Bearer t /longhaul/v1/sessions?include_archived=false&limit=100");
  });

  test("a refusal is shown in the engine's own words", async () => {
    const url = await listen((_request, response) => {
      response.writeHead(400);
      response.end('{"error":{"message":"session is archived"}}');
    });
    await expect(clientOf(url).wake("sesn_1")).rejects.toThrow("session is archived");
  });
});
