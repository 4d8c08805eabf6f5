/** A request that is not sent on, and how the program in the sandbox is told. */
import { type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";

export type RequestRefusalCode =
  /** Another host than the connection was made for. */
  | "fronting"
  /** Not a request that can be passed on as it was meant. */
  | "malformed"
  /** The value of a placeholder in the request cannot be had. */
  | "credential"
  /** The value of a placeholder does not fit into where it stands. */
  | "value"
  | "unreachable"
  /** The host does not prove that it is the host. */
  | "certificate"
  | "answer";

export class RequestRefused extends Error {
  override readonly name = "RequestRefused";
  readonly status: number;
  readonly code: RequestRefusalCode;

  /** @param message what happened and what to do, for a program's output; never a secret */
  constructor(status: number, code: RequestRefusalCode, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Answers a request, and ends the connection: what follows it may be the rest of this one. */
  answer(response: ServerResponse): void {
    if (response.headersSent) return void response.destroy();
    const body = `Longhaul: ${this.message}\n`;
    response.writeHead(this.status, STATUS_CODES[this.status] ?? "", {
      "content-type": "text/plain; charset=utf-8",
      "content-length": Buffer.byteLength(body),
      "longhaul-refused": this.code,
      connection: "close",
    });
    response.end(body);
  }

  /** The same where there is no request to answer. */
  end(socket: Duplex): void {
    if (socket.destroyed || !socket.writable) return void socket.destroy();
    const head = `HTTP/1.1 ${this.status} ${STATUS_CODES[this.status] ?? ""}\r\nlonghaul-refused: ${this.code}\r\n`;
    const body = `Longhaul: ${this.message}\n`;
    socket.end(
      `${head}content-type: text/plain; charset=utf-8\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
    socket.resume();
    // A caller that never reads nor closes must not keep the socket.
    setTimeout(() => socket.destroy(), 1_000).unref();
  }
}
