/** CONNECT by hand over a raw socket, so that tests can send what no HTTP client would. */
import { connect, createServer, type Server, type Socket } from "node:net";

export interface RawAnswer {
  /** Null when the connection ended before a whole head had arrived. */
  status: number | null;
  headers: Record<string, string>;
  socket: Socket;
}

/** Sends `text` and resolves when the answer's head has arrived or the connection has ended. */
export function rawSend(brokerUrl: string, text: string): Promise<RawAnswer> {
  const { hostname, port } = new URL(brokerUrl);
  return new Promise((resolve) => {
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true });
    let got = Buffer.alloc(0);
    const onData = (chunk: Buffer) => {
      got = Buffer.concat([got, chunk]);
      const end = got.indexOf("\r\n\r\n");
      if (end === -1) return;
      socket.off("data", onData);
      socket.pause();
      const rest = got.subarray(end + 4);
      if (rest.length > 0) socket.unshift(rest);
      const [first = "", ...lines] = got.subarray(0, end).toString().split("\r\n");
      const headers = Object.fromEntries(lines.map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]));
      const status = Number(first.split(" ")[1]);
      if (status !== 200) socket.destroy();
      resolve({ status, headers, socket });
    };
    socket.on("data", onData);
    socket.on("error", () => undefined);
    socket.on("close", () => resolve({ status: null, headers: {}, socket }));
    socket.write(text);
  });
}

export function rawConnect(brokerUrl: string, token: string | null, authority: string): Promise<RawAnswer> {
  const auth = token === null ? "" : `proxy-authorization: Bearer ${token}\r\n`;
  return rawSend(brokerUrl, `CONNECT ${authority} HTTP/1.1\r\nhost: ${authority}\r\n${auth}\r\n`);
}

/** A TCP server that handles each connection with `serve`. */
export async function tcpServer(
  serve: (socket: Socket) => void,
): Promise<{ port: number; sockets: Set<Socket>; close: () => Promise<void> }> {
  const sockets = new Set<Socket>();
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    serve(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return {
    port: address.port,
    sockets,
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

export const readAll = async (socket: Socket): Promise<string> => {
  const parts: Buffer[] = [];
  for await (const part of socket as AsyncIterable<Buffer>) parts.push(part);
  return Buffer.concat(parts).toString();
};
