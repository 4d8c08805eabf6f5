/** Bytes on a socket, as no well-behaved client would send them, and what the server answers. */
import { connect } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

export interface Answer {
  status: number;
  /** Lower-case names. */
  headers: Record<string, string>;
  body: string;
}

export interface Exchange {
  answers: Answer[];
  /** Everything that came, as it came. */
  bytes: string;
}

/** So long a connection that should be closed may stay open: a test that waits for longer has found something. */
const GIVE_UP_MS = 20_000;

/**
 * Sends the parts one after the other, `pauseMs` apart, and reads until the server closes the connection. Rejects when it
 * does not.
 */
export async function exchange(url: string, parts: string | readonly string[], pauseMs = 0): Promise<Exchange> {
  const socket = connect(Number(new URL(url).port), "127.0.0.1");
  let bytes = "";
  socket.setEncoding("latin1");
  socket.on("data", (chunk) => (bytes += chunk));
  // A reset is an answer too: the server wants no more of this.
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  const late = new AbortController();
  const limit = sleep(GIVE_UP_MS, "late", { signal: late.signal }).catch(() => "closed");
  void send(socket, typeof parts === "string" ? [parts] : parts, pauseMs);
  const end = await Promise.race([closed.then(() => "closed"), limit]);
  late.abort();
  socket.destroy();
  if (end === "late") throw new Error(`The server kept the connection open after: ${bytes.slice(0, 500)}`);
  return { answers: parse(bytes), bytes };
}

async function send(socket: ReturnType<typeof connect>, parts: readonly string[], pauseMs: number): Promise<void> {
  for (const part of parts) {
    if (socket.destroyed) return;
    socket.write(Buffer.from(part, "latin1"));
    if (pauseMs > 0) await sleep(pauseMs);
  }
}

/** Responses in the order they came; a body is cut by its length, or by its chunks. */
function parse(bytes: string): Answer[] {
  const answers: Answer[] = [];
  let rest = bytes;
  while (rest.startsWith("HTTP/1.1 ")) {
    const end = rest.indexOf("\r\n\r\n");
    if (end === -1) break;
    const [first = "", ...lines] = rest.slice(0, end).split("\r\n");
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    rest = rest.slice(end + 4);
    const length = headers["content-length"];
    let body = "";
    if (length !== undefined) {
      body = rest.slice(0, Number(length));
      rest = rest.slice(Number(length));
    } else if (headers["transfer-encoding"] === "chunked") {
      for (let size = -1; size !== 0; ) {
        const line = rest.indexOf("\r\n");
        if (line === -1) break;
        size = Number.parseInt(rest.slice(0, line), 16);
        // Something was written into the middle: what is there does not count as a body.
        if (Number.isNaN(size)) break;
        body += rest.slice(line + 2, line + 2 + size);
        rest = rest.slice(line + 4 + size);
      }
    }
    answers.push({ status: Number(first.split(" ")[1]), headers, body });
  }
  return answers;
}

/** Header lines; a list gives the same name several times. */
export function request(line: string, headers: Record<string, string | readonly string[]>, body = ""): string {
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    (typeof value === "string" ? [value] : value).map((each) => `${name}: ${each}`),
  );
  return `${[line, ...lines].join("\r\n")}\r\n\r\n${body}`;
}
