/** Serves the API on a socket: limits on headers and time, the contract's envelope also where no route is reached. */
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { getRequestListener, type HttpBindings } from "@hono/node-server";
import { ApiError, type ApiErrorType } from "../contract/errors.ts";
import { newId } from "../contract/ids.ts";
import { malformed } from "./admission.ts";
import type { Api } from "./http/context.ts";
import { errorResponse } from "./http/failure.ts";

export interface ListenOptions {
  host: string;
  /** 0 picks a free port. */
  port: number;
  /** Time for a client to send its headers. */
  headersTimeoutMs?: number;
  /** Time for a client to send a whole request: 500 MB on a slow disk fit in. */
  requestTimeoutMs?: number;
}

export interface Listening {
  /** `http://127.0.0.1:40123`, without a slash at its end. */
  url: string;
  /** Takes no more connections, ends streams, gives running requests a moment. Resolves when all are closed. */
  close(): Promise<void>;
}

/** Another process listens on the wanted port. */
export class PortInUseError extends Error {
  override readonly name = "PortInUseError";
  readonly code = "EADDRINUSE";
  readonly port: number;

  constructor(host: string, port: number) {
    super(
      `Port ${port} on ${host} is in use by another program. Nothing was changed. Stop that program or use --port 0.`,
    );
    this.port = port;
  }
}

const MAX_HEADER_BYTES = 32 * 1024;
/** Longer than the pauses of the official SDK between requests, so that it does not write to a socket being closed. */
const KEEP_ALIVE_MS = 65_000;
const CLOSE_GRACE_MS = 1_000;

/** The bindings are those of HTTP/1.1: this server speaks nothing else. */
type FetchCallback = Parameters<typeof getRequestListener>[0];

/** Starts listening. Rejects with {@link PortInUseError} or the system's error. */
export async function listen(api: Api, options: ListenOptions): Promise<Listening> {
  const streams = new Set<ServerResponse>();
  const answer = async (request: Request, env: HttpBindings): Promise<Response> => {
    const response = await api.fetch(request, env);
    if (response.headers.get("content-type")?.startsWith("text/event-stream")) {
      streams.add(env.outgoing);
      env.outgoing.once("close", () => streams.delete(env.outgoing));
    }
    return response;
  };
  const listener = getRequestListener(answer as FetchCallback, {
    // Replacing Request and Response for the whole process would change them for the model client too.
    overrideGlobalObjects: false,
    errorHandler: () =>
      errorResponse(
        refusal("invalid_request_error", "The request line or the Host header is malformed."),
        newId("request"),
      ),
  });
  const distrusted = new WeakSet<object>();
  /** The last response of each connection. */
  const answered = new WeakMap<object, ServerResponse>();
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: options.headersTimeoutMs ?? 15_000,
      requestTimeout: options.requestTimeoutMs ?? 600_000,
      keepAliveTimeout: KEEP_ALIVE_MS,
      connectionsCheckingInterval: Math.min(5_000, options.headersTimeoutMs ?? 5_000),
      // Answered by the guard with an envelope instead.
      requireHostHeader: false,
    },
    (request, response) => {
      // What stands behind an ambiguous request on its connection may be a part of it.
      if (distrusted.has(request.socket)) return;
      answered.set(request.socket, response);
      const wrong = malformed(request);
      if (wrong === null) return void listener(request, response);
      distrusted.add(request.socket);
      refuse(response, wrong);
    },
  );
  // Nothing here speaks another protocol: the request is answered as if it had not asked, and CONNECT not at all.
  server.on("upgrade", (_request, socket) => answerClientError(new Error("upgrade"), socket));
  server.on("connect", (_request, socket) => answerClientError(new Error("connect"), socket));
  server.on("clientError", (error, socket) => {
    const last = answered.get(socket);
    // An answer in the middle of another one would be taken for a part of it.
    const begun = last?.headersSent === true && !last.writableFinished;
    if (distrusted.has(socket) || begun) socket.destroy();
    else answerClientError(error, socket);
  });
  await bound(server, options);
  const { port } = server.address() as AddressInfo;
  return { url: `http://${options.host}:${port}`, close: () => closeServer(server, streams) };
}

function bound(server: Server, { host, port }: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => {
      reject(error.code === "EADDRINUSE" ? new PortInUseError(host, port) : error);
    });
    server.listen(port, host, resolve);
  });
}

function refuse(response: ServerResponse, message: string): void {
  const requestId = newId("request");
  const body = JSON.stringify(refusal("invalid_request_error", message).envelope(requestId));
  const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  response.writeHead(400, { ...headers, "request-id": requestId, connection: "close" }).end(body);
}

function refusal(type: ApiErrorType, message: string): ApiError {
  return new ApiError(type, message);
}

/** Requests that Node's parser refuses never reach the API; they get the same envelope. */
function answerClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const { status, text, cause } = describeClientError(error.code);
  const requestId = newId("request");
  const body = JSON.stringify(cause.envelope(requestId));
  const head = [
    `HTTP/1.1 ${status} ${text}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    `request-id: ${requestId}`,
    "Connection: close",
  ];
  socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}

function describeClientError(code: string | undefined): { status: number; text: string; cause: ApiError } {
  if (code === "HPE_HEADER_OVERFLOW") {
    const cause = refusal("request_too_large", `The headers are larger than ${MAX_HEADER_BYTES / 1024} KB.`);
    return { status: 431, text: "Request Header Fields Too Large", cause };
  }
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    const cause = refusal("timeout_error", "The request did not arrive in time. Send it again.");
    return { status: 408, text: "Request Timeout", cause };
  }
  return {
    status: 400,
    text: "Bad Request",
    cause: refusal("invalid_request_error", "The request is not valid HTTP/1.1."),
  };
}

async function closeServer(server: Server, streams: ReadonlySet<ServerResponse>): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // Streams never end by themselves; their readers connect again and go on by position.
  for (const stream of streams) stream.end();
  // A connection that was kept alive counts as idle only once its last response is out.
  const idle = setInterval(() => server.closeIdleConnections(), 20);
  const timer = setTimeout(() => server.closeAllConnections(), CLOSE_GRACE_MS);
  await closed;
  clearInterval(idle);
  clearTimeout(timer);
}
