/** The host's door: listens for engines, lets in who knows the secret, and closes when nothing is left to do. */
import { randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Calls } from "../calls.ts";
import { hostAddress, type SandboxLayout } from "../layout.ts";
import { type HostRecord, receiveLines, sendLine, type ToHost } from "./wire.ts";

const HELLO_TIMEOUT_MS = 5000;
const MAX_UNREAD_BYTES = 4 * 1024 * 1024;

export class HostServer {
  readonly #layout: SandboxLayout;
  readonly #calls: Calls;
  readonly #idleMs: number;
  readonly #record: HostRecord = {
    pid: process.pid,
    instance: randomUUID(),
    secret: randomBytes(32).toString("hex"),
  };
  readonly #sockets = new Set<Socket>();
  #server: Server | null = null;
  #lastUse = Date.now();

  constructor(layout: SandboxLayout, calls: Calls, idleMs: number) {
    this.#layout = layout;
    this.#calls = calls;
    this.#idleMs = idleMs;
  }

  /** Resolves when engines can connect; false when another host of this sandbox is alive. */
  async listen(): Promise<boolean> {
    const address = hostAddress(this.#layout.dir);
    const server = await bind(address, (socket) => this.#accept(socket));
    if (server === null) return false;
    this.#server = server;
    const file = this.#layout.hostFile;
    writeFileSync(`${file}.${process.pid}`, JSON.stringify(this.#record), { mode: 0o600 });
    renameSync(`${file}.${process.pid}`, file);
    setInterval(() => this.#look(), Math.min(5000, Math.max(50, this.#idleMs / 4)));
    return true;
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    // Without a listener an engine that goes away in the middle of a write would end this process.
    socket.on("error", () => socket.destroy());
    socket.setNoDelay(true);
    const timer = setTimeout(() => socket.destroy(), HELLO_TIMEOUT_MS);
    let known = false;
    receiveLines<ToHost>(socket, (message) => {
      this.#lastUse = Date.now();
      if (known) return this.#receive(socket, message);
      clearTimeout(timer);
      if (message.type !== "hello" || !sameSecret(message.secret, this.#record.secret)) return void socket.destroy();
      known = true;
      sendLine(socket, { type: "welcome", pid: this.#record.pid, instance: this.#record.instance });
    });
  }

  #receive(socket: Socket, message: ToHost): void {
    switch (message.type) {
      case "execute": {
        const { request, id, name, input } = message;
        const onOutput = (chunk: string): void => {
          // A frozen engine reads nothing: output for watchers must not pile up here meanwhile.
          if (socket.writableLength < MAX_UNREAD_BYTES) sendLine(socket, { type: "output", id, chunk });
        };
        void this.#calls.execute(id, name, input, onOutput).then((answer) => {
          this.#lastUse = Date.now();
          sendLine(socket, { ...answer, request });
        });
        return;
      }
      case "interrupt":
        return this.#calls.interrupt(message.id);
      case "state":
        return sendLine(socket, { type: "state", request: message.request, state: this.#calls.state(message.id) });
      case "shutdown":
        return this.#exit();
      case "ping":
        return sendLine(socket, { type: "pong" });
      case "hello":
        return;
    }
  }

  /** Ends this process when it was not used for long, and when its sandbox was removed or has another host. */
  #look(): void {
    if (!this.#isOurs()) {
      this.#calls.interruptAll();
      process.exit(0);
    }
    if (this.#calls.busy) this.#lastUse = Date.now();
    if (Date.now() - this.#lastUse >= this.#idleMs) this.#exit();
  }

  #isOurs(): boolean {
    try {
      const stored = JSON.parse(readFileSync(this.#layout.hostFile, "utf8")) as Partial<HostRecord>;
      return stored.instance === this.#record.instance;
    } catch {
      return false;
    }
  }

  #exit(): void {
    // First nobody can come in any more, then the file goes: whoever reads it later starts a new host.
    this.#server?.close();
    if (this.#isOurs()) rmSync(this.#layout.hostFile, { force: true });
    for (const socket of this.#sockets) socket.end();
    process.exit(0);
  }
}

function sameSecret(given: unknown, secret: string): boolean {
  if (typeof given !== "string" || given.length !== secret.length) return false;
  return timingSafeEqual(Buffer.from(given.padEnd(64).slice(0, 64)), Buffer.from(secret.slice(0, 64)));
}

/** Listens at `address`; null when somebody answers there. What a dead host left behind is cleared away. */
async function bind(address: string, accept: (socket: Socket) => void): Promise<Server | null> {
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const server = createServer(accept);
    const error = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
      server.once("error", resolve);
      server.listen(address, () => resolve(null));
    });
    if (error === null) return server;
    if (error.code !== "EADDRINUSE") throw error;
    if (await answers(address)) return null;
    // Moved aside before it is removed: if another host bound it just now, that one answers there and is moved back.
    const aside = `${address}.${process.pid}`;
    try {
      renameSync(address, aside);
      if (await answers(aside)) renameSync(aside, address);
      else rmSync(aside, { force: true });
    } catch (moved) {
      if ((moved as NodeJS.ErrnoException).code !== "ENOENT") throw moved;
    }
  }
  return null;
}

function answers(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(address);
    const done = (alive: boolean): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.once("connect", () => done(true));
    socket.once("error", () => done(false));
  });
}
