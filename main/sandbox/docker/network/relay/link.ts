/** The engine's end of a relay: frames over the pipes of a program in the container become connections. */
import type { Duplex } from "node:stream";
import type { ExecStream } from "../../../runner/stream.ts";
import { RelayConnection } from "./connection.ts";
import { FRAME, type Frame, FrameReader, frameHeader, MAX_CONNECTIONS } from "./frames.ts";

/** Milliseconds between two pings; the relay ends after three without a word from the engine. */
export const PING_MS = 30_000;
/** Milliseconds in which a ping is answered by a relay that lives. */
const PONG_MS = 10_000;
/** What may wait for a relay that does not read; ours takes everything at once, and a paused one is sent no more. */
const MAX_UNREAD = { frames: 50_000, bytes: 64 * 1024 * 1024 };

export class RelayLink {
  /** Resolves when the relay is gone, with what it said about it; never rejects. */
  readonly closed: Promise<string>;
  readonly #stream: ExecStream;
  readonly #onConnection: (connection: Duplex) => void;
  readonly #connections = new Map<number, RelayConnection>();
  readonly #reader = new FrameReader();
  readonly #pings: NodeJS.Timeout;
  #pongs: ((alive: boolean) => void)[] = [];
  #writers: (() => void)[] = [];
  #hello: ((failure: string | null) => void) | null = null;
  #reason = "";
  /** Frames since the pipe to the relay was empty. */
  #unread = 0;
  #over = false;

  constructor(stream: ExecStream, onConnection: (connection: Duplex) => void) {
    this.#stream = stream;
    this.#onConnection = onConnection;
    stream.stdin.on("error", () => this.close());
    stream.stdin.on("drain", () => {
      this.#unread = 0;
      for (const write of this.#writers.splice(0)) write();
    });
    stream.stdout.on("error", () => this.close());
    stream.stdout.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.closed = stream.closed.then(() => {
      this.close();
      return this.#reason || stream.stderr().trim().slice(-500) || "it ended";
    });
    this.#pings = setInterval(() => void this.#check(), PING_MS);
    this.#pings.unref();
  }

  /** Resolves with null when the relay listens, else with the reason why it does not. */
  listening(waitMs: number): Promise<string | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve("it did not start in time"), waitMs);
      this.#hello = (failure) => {
        clearTimeout(timer);
        resolve(failure);
      };
      void this.closed.then((reason) => this.#hello?.(reason));
    });
  }

  /** Whether the relay answers a ping within `waitMs`. */
  alive(waitMs: number): Promise<boolean> {
    if (this.#over) return Promise.resolve(false);
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), waitMs);
      this.#pongs.push((alive) => {
        clearTimeout(timer);
        resolve(alive);
      });
      this.#write(frameHeader(FRAME.ping, 0, 0));
    });
  }

  /** Ends the relay and every connection in it. Idempotent. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#pings);
    for (const connection of this.#connections.values()) connection.breakOff();
    this.#connections.clear();
    for (const answer of this.#pongs.splice(0)) answer(false);
    this.#writers = [];
    this.#stream.destroy();
  }

  async #check(): Promise<void> {
    if (await this.alive(PONG_MS)) return;
    this.#reason ||= "it stopped answering";
    this.close();
  }

  #write(...parts: Buffer[]): boolean {
    const { stdin } = this.#stream;
    if (this.#over || !stdin.writable) return true;
    stdin.cork();
    let room = true;
    for (const part of parts) room = stdin.write(part);
    process.nextTick(() => stdin.uncork());
    this.#unread = room ? 0 : this.#unread + 1;
    if (this.#unread > MAX_UNREAD.frames || stdin.writableLength > MAX_UNREAD.bytes) {
      // Resets and ends are sent whether there is room or not: opening and closing without reading would fill the engine.
      this.#reason ||= "it did not read what it was sent";
      this.close();
    }
    return room;
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#handle(frame);
    } catch (error) {
      this.#reason = error instanceof Error ? error.message : "it failed";
      this.close();
    }
  }

  #handle({ type, connection: id, payload }: Frame): void {
    if (this.#over) return;
    if (type === FRAME.hello) return this.#hello?.(null);
    if (type === FRAME.failed) return this.#hello?.(payload.toString().slice(0, 200));
    if (type === FRAME.ping) return this.#pongs.shift()?.(true);
    if (type === FRAME.open) return this.#open(id);
    // Frames that were under way when a connection was closed here.
    const connection = this.#connections.get(id);
    if (connection === undefined) return;
    if (type === FRAME.end) connection.receiveEnd();
    else if (type === FRAME.reset) this.#drop(id, connection);
    else if (type === FRAME.window && payload.length === 4) connection.grant(payload.readUInt32BE());
    else if (type !== FRAME.data || !connection.receive(payload)) throw new Error("The relay broke its own rules.");
  }

  #drop(id: number, connection: RelayConnection): void {
    this.#connections.delete(id);
    connection.breakOff();
  }

  #open(id: number): void {
    if (this.#connections.has(id)) throw new Error("The relay opened a connection twice.");
    // Twice: one that is closed there can still have bytes on their way out here.
    if (this.#connections.size >= 2 * MAX_CONNECTIONS) return void this.#write(frameHeader(FRAME.reset, id, 0));
    const connection = new RelayConnection(id, {
      send: (...parts) => this.#write(...parts),
      whenWritable: (callback) => void this.#writers.push(callback),
    });
    this.#connections.set(id, connection);
    connection.on("close", () => {
      if (this.#connections.get(id) === connection) this.#connections.delete(id);
    });
    // Breaking off is ordinary; an unheard error would end the engine.
    connection.on("error", () => connection.destroy());
    this.#onConnection(connection);
  }
}
