/** A small server on a Unix socket or TCP port that plays a container engine, or something that is none. */
import { createServer as createHttpServer, type ServerResponse } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";

export const VERSION_ANSWER = {
  Version: "27.1.1",
  ApiVersion: "1.46",
  MinAPIVersion: "1.24",
  Os: "linux",
  Arch: "amd64",
};
export const INFO_ANSWER = { ID: "id-1", NCPU: 4, MemTotal: 8e9, Runtimes: { runc: {} }, DefaultRuntime: "runc" };

export interface FakeEngine extends AsyncDisposable {
  /** Paths that were asked for. */
  asked: string[];
  /** Of a TCP port; 0 for a socket. */
  port: number;
}

type Behaviour =
  /** Answers in the way of an engine; fields replace those of a usual one. */
  | { version?: object; info?: object }
  | { status: number; body?: string }
  /** Takes connections and never answers. */
  | "hangs"
  /** Speaks some other protocol. */
  | "garbage"
  /** Begins an answer and breaks off. */
  | "breaks_off"
  /** Sends without an end. */
  | "endless";

/** @param where path of a socket, or null for a free TCP port on 127.0.0.1 */
export async function fakeEngine(where: string | null, behaviour: Behaviour): Promise<FakeEngine> {
  const asked: string[] = [];
  const server = serverFor(behaviour, asked);
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
  });
  await new Promise<void>((resolve) => {
    if (where === null) server.listen(0, "127.0.0.1", resolve);
    else server.listen(where, resolve);
  });
  const address = server.address();
  return {
    asked,
    port: where === null ? (address as AddressInfo).port : 0,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => void server.close(() => resolve()));
    },
  };
}

function serverFor(behaviour: Behaviour, asked: string[]): Server {
  if (behaviour === "hangs") return createServer(() => undefined);
  if (behaviour === "garbage") return createServer((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"));
  return createHttpServer((request, response) => {
    asked.push(request.url ?? "");
    answer(behaviour, request.url ?? "", response);
  });
}

function answer(behaviour: Exclude<Behaviour, "hangs" | "garbage">, path: string, response: ServerResponse): void {
  if (behaviour === "breaks_off") {
    response.writeHead(200, { "content-length": "1000" });
    response.write("{", () => response.socket?.destroy());
    return;
  }
  if (behaviour === "endless") {
    const flood = (): void => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 32)));
      if (!response.destroyed) response.once("drain", flood);
    };
    flood();
    return;
  }
  if ("status" in behaviour) {
    response.writeHead(behaviour.status).end(behaviour.body ?? "");
    return;
  }
  if (path.endsWith("/_ping")) response.end("OK");
  else if (path.endsWith("/version")) response.end(JSON.stringify({ ...VERSION_ANSWER, ...behaviour.version }));
  else if (path.endsWith("/info")) response.end(JSON.stringify({ ...INFO_ANSWER, ...behaviour.info }));
  else response.writeHead(404).end(JSON.stringify({ message: `page not found: ${path}` }));
}
