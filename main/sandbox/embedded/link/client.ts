/** The engine's end of a connection to one host. */
import { connect, type Socket } from "node:net";
import type { CallState } from "../../port.ts";
import type { Answer } from "../calls.ts";
import { type FromHost, type HostRecord, receiveLines, sendLine } from "./wire.ts";

const WELCOME_TIMEOUT_MS = 5000;
/** A host that leaves so many pings unanswered is stuck. Counted, not timed: after this machine slept, both were away. */
const MISSED_PINGS = 6;

/** The connection ended before the host answered. */
export class HostGone extends Error {
  constructor() {
    super("The sandbox's process is gone.");
    this.name = "HostGone";
  }
}

interface Waiting {
  answer: (message: FromHost) => void;
  fail: (error: HostGone) => void;
}

export class HostClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #watchers = new Map<string, Set<(chunk: string) => void>>();
  readonly #pid: number;
  #requests = 0;
  #closed = false;
  #pings = 0;
  #pinging: NodeJS.Timeout | undefined;

  private constructor(socket: Socket, pid: number) {
    this.#socket = socket;
    this.#pid = pid;
  }

  /**
   * Connects and proves the right to; null when nobody answers there, or not the host of `record`.
   * @param pingMs how often a host that owes an answer is asked whether it is there
   */
  static open(address: string, record: HostRecord, pingMs = 5000): Promise<HostClient | null> {
    return new Promise((resolve) => {
      const socket = connect(address);
      const client = new HostClient(socket, record.pid);
      socket.setNoDelay(true);
      const finish = (result: HostClient | null): void => {
        clearTimeout(timer);
        if (result === null) socket.destroy();
        resolve(result);
      };
      const timer = setTimeout(() => finish(null), WELCOME_TIMEOUT_MS);
      socket.once("connect", () => sendLine(socket, { type: "hello", secret: record.secret }));
      socket.on("error", () => socket.destroy());
      socket.on("close", () => {
        client.#end();
        finish(null);
      });
      receiveLines<FromHost>(socket, (message) => {
        if (message.type !== "welcome") return client.#receive(message);
        if (message.instance !== record.instance) return finish(null);
        client.#pinging = setInterval(() => client.#ping(), pingMs);
        client.#pinging.unref();
        finish(client);
      });
    });
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Runs a call or attaches to it. Rejects with {@link HostGone}. */
  async execute(id: string, name: string, input: unknown, onOutput: (chunk: string) => void): Promise<Answer> {
    const watchers = this.#watchers.get(id) ?? new Set();
    this.#watchers.set(id, watchers);
    watchers.add(onOutput);
    try {
      const message = await this.#ask((request) =>
        sendLine(this.#socket, { type: "execute", request, id, name, input }),
      );
      if (message.type === "outcome" || message.type === "unknown_outcome" || message.type === "refused")
        return message;
      throw new HostGone();
    } finally {
      watchers.delete(onOutput);
      if (watchers.size === 0) this.#watchers.delete(id);
    }
  }

  interrupt(id: string): void {
    sendLine(this.#socket, { type: "interrupt", id });
  }

  /** Rejects with {@link HostGone}. */
  async state(id: string): Promise<CallState> {
    const message = await this.#ask((request) => sendLine(this.#socket, { type: "state", request, id }));
    if (message.type !== "state") throw new HostGone();
    return message.state;
  }

  shutdown(): void {
    sendLine(this.#socket, { type: "shutdown" });
  }

  /** Lets go; the host goes on. */
  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  #ask(send: (request: number) => void): Promise<FromHost> {
    if (this.#closed) return Promise.reject(new HostGone());
    this.#requests += 1;
    const request = this.#requests;
    return new Promise((answer, fail) => {
      this.#waiting.set(request, { answer, fail });
      send(request);
    });
  }

  #ping(): void {
    if (this.#waiting.size === 0) {
      this.#pings = 0;
      return;
    }
    this.#pings += 1;
    if (this.#pings <= MISSED_PINGS) return sendLine(this.#socket, { type: "ping" });
    // It proved to be the host, so this is its process. What it did is in its record of calls.
    process.kill(this.#pid, "SIGKILL");
    this.#socket.destroy();
  }

  #receive(message: FromHost): void {
    this.#pings = 0;
    if (message.type === "pong") return;
    if (message.type === "output") {
      for (const watcher of this.#watchers.get(message.id) ?? []) watcher(message.chunk);
      return;
    }
    if (message.type === "welcome") return;
    this.#waiting.get(message.request)?.answer(message);
    this.#waiting.delete(message.request);
  }

  #end(): void {
    this.#closed = true;
    clearInterval(this.#pinging);
    for (const { fail } of this.#waiting.values()) fail(new HostGone());
    this.#waiting.clear();
  }
}
