/** The engine's end of a channel into a container: requests, their answers, and the ends of calls. */
import { randomBytes } from "node:crypto";
import { type Frame, FrameReader, ProtocolError } from "./frames.ts";
import { COMMAND_END } from "./scripts/shells.ts";
import type { ExecStream } from "./stream.ts";

const OPEN_TIMEOUT_MS = 15_000;
const PING_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** Answers on their way at a time: a bell of the container holds 64 KiB, and one that is full holds the shell up. */
const MAX_REQUESTS = 12;

/** The channel is gone; what runs in the container goes on. The same call again on a new channel attaches to it. */
export class ChannelClosed extends Error {
  override readonly name = "ChannelClosed";
  /** True when the runner answers but could not stop a command: only a restart of the container can. */
  readonly stuck: boolean;

  constructor(reason: string, stuck = false) {
    super(reason);
    this.stuck = stuck;
  }
}

/** The runner did not answer a request in time; the channel itself may be well. */
export class RequestTimeout extends Error {
  override readonly name = "RequestTimeout";
}

export interface Answer {
  /** Name of the request. */
  n: string;
  ok: boolean;
  /** The rest of the line. */
  text: string;
  payload: Buffer | null;
}

/** How a call ended; `output` is null where it is too long for this and must be collected. */
export interface CallEnd {
  code: string;
  output: Buffer | null;
}

/** Told how a call ends, or (null) that it could not be written down and does not run. */
type EndListener = (end: CallEnd | null) => void;

interface Waiting {
  resolve: (answer: Answer) => void;
  reject: (error: Error) => void;
  timer: NodeJS.Timeout;
}

export class RunnerClient {
  /** Resolves when the channel is gone; never rejects. */
  readonly onClosed: Promise<void>;
  readonly #stream: ExecStream;
  readonly #reader = new FrameReader();
  readonly #requests = new Map<string, Waiting>();
  readonly #queue: (() => void)[] = [];
  readonly #ends = new Map<string, Set<EndListener>>();
  readonly #closeListeners = new Set<(error: ChannelClosed) => void>();
  readonly #name = randomBytes(6).toString("hex");
  #counter = 0;
  #hello: ((error: Error | null) => void) | null = null;
  #failure: ChannelClosed | null = null;
  #tellClosed: () => void = () => undefined;

  /**
   * Waits for the relay to answer. Rejects with {@link ChannelClosed}, whose message says why: a tool that the image
   * lacks, a runner that is not there, a program that could not be started.
   */
  static async open(stream: ExecStream, timeoutMs = OPEN_TIMEOUT_MS): Promise<RunnerClient> {
    const client = new RunnerClient(stream);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        client.close(`The runner in the container did not answer within ${timeoutMs / 1000} seconds.`);
      }, timeoutMs);
      client.#hello = (error) => {
        clearTimeout(timer);
        client.#hello = null;
        if (error === null) resolve();
        else reject(error);
      };
      if (client.#failure !== null) client.#hello(client.#failure);
    });
    return client;
  }

  private constructor(stream: ExecStream) {
    this.#stream = stream;
    this.onClosed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    stream.stdout.on("data", (chunk: Buffer) => this.#receive(chunk));
    for (const end of [stream.stdin, stream.stdout]) {
      end.on("error", (error: Error) => this.close(`The channel to the container broke: ${error.message}`));
    }
    void stream.closed.then(() => {
      const said = stream.stderr().trim().slice(-500);
      this.close(`The channel to the container ended${said === "" ? "." : `: ${said}`}`);
    });
  }

  get closed(): boolean {
    return this.#failure !== null;
  }

  /** Ends the channel; everything that waits on it rejects with {@link ChannelClosed}. Calls go on. Idempotent. */
  close(reason = "The channel to the container was closed.", stuck = false): void {
    if (this.#failure !== null) return;
    const failure = new ChannelClosed(reason, stuck);
    this.#failure = failure;
    this.#stream.destroy();
    this.#hello?.(failure);
    for (const request of this.#requests.values()) {
      clearTimeout(request.timer);
      request.reject(failure);
    }
    this.#requests.clear();
    for (const start of this.#queue.splice(0)) start();
    for (const listener of [...this.#closeListeners]) listener(failure);
    this.#tellClosed();
  }

  /**
   * Rejects with {@link ChannelClosed} when the relay does not answer: the container may be paused or starved; also when it
   * answers that it can hear of no end of a call any more, because what it needs for that was removed.
   */
  async ping(): Promise<void> {
    try {
      const answer = await this.request("ping", [], { timeoutMs: PING_TIMEOUT_MS });
      if (!answer.ok) throw new ChannelClosed("The runner's files in the container were spoiled.");
    } catch (error) {
      if (error instanceof ChannelClosed) throw error;
      throw new ChannelClosed("The runner in the container does not answer.");
    }
  }

  /** Tells `listener` when the channel closes, at once if it has; returns what stops that. */
  onClose(listener: (error: ChannelClosed) => void): () => void {
    if (this.#failure !== null) listener(this.#failure);
    else this.#closeListeners.add(listener);
    return () => this.#closeListeners.delete(listener);
  }

  /** Tells `listener` how the call ends; returns what stops that. */
  onEnd(id: string, listener: EndListener): () => void {
    const listeners = this.#ends.get(id) ?? new Set();
    this.#ends.set(id, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#ends.delete(id);
    };
  }

  /** @param content bytes that follow the line */
  send(line: string, content: Buffer | null = null): void {
    if (this.#failure !== null) return;
    this.#stream.stdin.write(`${line}\n`);
    if (content === null) return;
    this.#stream.stdin.write(content);
    this.#stream.stdin.write(`${COMMAND_END}\n`);
  }

  /** Rejects with {@link ChannelClosed} or {@link RequestTimeout}. */
  async request(
    operation: string,
    words: readonly string[],
    { content = null, timeoutMs = REQUEST_TIMEOUT_MS }: { content?: Buffer | null; timeoutMs?: number } = {},
  ): Promise<Answer> {
    while (this.#requests.size >= MAX_REQUESTS) await new Promise<void>((start) => this.#queue.push(start));
    if (this.#failure !== null) throw this.#failure;
    this.#counter += 1;
    const n = `${this.#name}${this.#counter}`;
    try {
      return await new Promise<Answer>((resolve, reject) => {
        const timer = setTimeout(() => {
          reject(new RequestTimeout(`no answer to ${operation} within ${timeoutMs / 1000} seconds`));
        }, timeoutMs);
        this.#requests.set(n, { resolve, reject, timer });
        this.send(["q", n, operation, ...words].join(" "), content);
      });
    } finally {
      clearTimeout(this.#requests.get(n)?.timer);
      this.#requests.delete(n);
      this.#queue.shift()?.();
    }
  }

  #receive(chunk: Buffer): void {
    if (this.#failure !== null) return;
    try {
      for (const frame of this.#reader.push(chunk)) this.#handle(frame);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.close(`The runner in the container ${error.message}; the channel was closed.`);
    }
  }

  #handle({ line, payload }: Frame): void {
    const [kind = "", subject = ""] = line.split(" ", 2);
    const rest = line.slice(kind.length + subject.length + 2);
    if (this.#hello !== null) {
      if (kind === "hello" && subject === "1") this.#hello(null);
      else if (kind === "fatal") this.close(line.slice("fatal ".length));
      else throw new ProtocolError(`did not say hello but ${JSON.stringify(line.slice(0, 100))}`);
    } else if (kind === "d") {
      const [code = "", long] = rest.split(" ");
      for (const listener of [...(this.#ends.get(subject) ?? [])]) {
        listener({ code, output: long === "-" ? null : (payload ?? Buffer.alloc(0)) });
      }
    } else if (kind === "x") {
      for (const listener of [...(this.#ends.get(subject) ?? [])]) listener(null);
    } else if (kind === "p") {
      const answer = { n: subject, ok: /^ok\b/.test(rest), text: rest.slice(3), payload };
      this.#requests.get(subject)?.resolve(answer);
    } else {
      throw new ProtocolError(`said ${JSON.stringify(line.slice(0, 100))}`);
    }
  }
}
