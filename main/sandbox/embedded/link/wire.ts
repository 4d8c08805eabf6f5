/** What engine and host say to each other: one JSON object per line over a local socket. */
import type { Socket } from "node:net";
import type { CallState } from "../../port.ts";
import type { Outcome } from "../call_log.ts";

/** What the host writes to its file once it listens; only its owner can read it. */
export interface HostRecord {
  pid: number;
  /** Random name of this run of the host: tells it from another process that got its pid. */
  instance: string;
  /** The first message of a connection must carry it. */
  secret: string;
}

export type ToHost =
  | { type: "hello"; secret: string }
  | { type: "execute"; request: number; id: string; name: string; input: unknown }
  | { type: "interrupt"; id: string }
  | { type: "state"; request: number; id: string }
  | { type: "ping" }
  /** Stops what runs and exits. */
  | { type: "shutdown" };

export type FromHost =
  | { type: "welcome"; pid: number; instance: string }
  | { type: "pong" }
  | { type: "output"; id: string; chunk: string }
  | { type: "outcome"; request: number; outcome: Outcome }
  /** The call started in a host that died, and repeating it is not safe. */
  | { type: "unknown_outcome"; request: number }
  /** The call did not run. */
  | { type: "refused"; request: number; message: string }
  | { type: "state"; request: number; state: CallState };

/** Longest line: a file's text as tool input, with room to spare. */
const MAX_LINE = 64 * 1024 * 1024;

/** Calls `receive` with every message of the socket. A peer that does not keep to the form is cut off. */
export function receiveLines<T>(socket: Socket, receive: (message: T) => void): void {
  let parts: string[] = [];
  let size = 0;
  socket.setEncoding("utf8");
  socket.on("data", (text: string) => {
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      parts.push(text.slice(start, end));
      start = end + 1;
      const message = parse(parts.join(""));
      parts = [];
      size = 0;
      if (message === undefined) return void socket.destroy();
      receive(message as T);
    }
    parts.push(text.slice(start));
    size += text.length - start;
    if (size > MAX_LINE) socket.destroy();
  });
}

export function sendLine(socket: Socket, message: ToHost | FromHost): void {
  if (socket.writable) socket.write(`${JSON.stringify(message)}\n`);
}

function parse(line: string): object | undefined {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === "object" && message !== null ? message : undefined;
  } catch {
    return undefined;
  }
}
