/** One server-sent-events response with bounded memory: whoever writes waits for a slow reader or drops what may be dropped. */

/** Bytes that wait for the reader before the writer counts as congested. */
const HIGH_WATER = 256 * 1024;
/** Node's fetch gives up on a body that is silent for five minutes; proxies earlier. */
const KEEP_ALIVE_MS = 15_000;

/** The bytes of one frame, as text. */
export function frameText(type: string, data: unknown): string {
  return `event: ${frameName(type)}\ndata: ${JSON.stringify(data)}\n\n`;
}

export class SseWriter {
  readonly response: Response;
  readonly #closed = new Set<() => void>();
  readonly #keepAlive: NodeJS.Timeout;
  #queue: string[] = [];
  #bytes = 0;
  #written = 0;
  #ending = false;
  #done = false;
  /** The reader waits for data. */
  #wanted: (() => void) | null = null;
  /** Writers wait for the reader. */
  #waiting: (() => void)[] = [];

  constructor(keepAliveMs: number = KEEP_ALIVE_MS) {
    const body = new ReadableStream<Uint8Array>(
      { pull: (controller) => this.#pull(controller), cancel: () => this.#close() },
      // Nothing is taken from the queue before the socket has room: the queue's size tells how far the reader is behind.
      { highWaterMark: 0 },
    );
    this.response = new Response(body, {
      headers: {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-store",
        "x-accel-buffering": "no",
      },
    });
    this.#keepAlive = setInterval(() => {
      if (this.#queue.length === 0) this.#push(": keep-alive\n\n");
    }, keepAliveMs);
    this.#keepAlive.unref();
    // The first bytes follow the headers at once, so that no intermediary holds the headers back.
    this.#push(": connected\n\n");
  }

  /** True when the reader is far behind: wait with {@link drained}, or drop what may be dropped. */
  get congested(): boolean {
    return this.#bytes > HIGH_WATER;
  }

  /** Characters queued so far. */
  get written(): number {
    return this.#written;
  }

  get closed(): boolean {
    return this.#done || this.#ending;
  }

  /** Queues one frame of this type. */
  frame(type: string, data: unknown): void {
    if (!this.closed) this.#push(frameText(type, data));
  }

  /** Queues a frame that {@link frameText} made, for several readers at once. */
  ready(frame: string): void {
    if (!this.closed) this.#push(frame);
  }

  /** Resolves when the writer is not congested any more, or closed. */
  drained(): Promise<void> {
    if (!this.congested || this.closed) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Ends the response once everything queued was read. */
  end(): void {
    if (this.closed) return;
    this.#ending = true;
    this.#wanted?.();
  }

  /** Called once when the reader is gone or everything was read after {@link end}. */
  onClose(listener: () => void): void {
    if (this.#done) listener();
    else this.#closed.add(listener);
  }

  #push(text: string): void {
    this.#queue.push(text);
    this.#bytes += text.length;
    this.#written += text.length;
    this.#wanted?.();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    if (this.#queue.length === 0 && !this.#ending && !this.#done) {
      await new Promise<void>((resolve) => {
        this.#wanted = resolve;
      });
      this.#wanted = null;
    }
    if (this.#queue.length > 0) {
      const chunk = Buffer.from(this.#queue.join(""));
      this.#queue = [];
      this.#bytes = 0;
      controller.enqueue(chunk);
      this.#release();
      return;
    }
    if (this.#ending && !this.#done) {
      controller.close();
      this.#close();
    }
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  #close(): void {
    if (this.#done) return;
    this.#done = true;
    clearInterval(this.#keepAlive);
    this.#queue = [];
    this.#bytes = 0;
    this.#wanted?.();
    this.#release();
    for (const listener of this.#closed) listener();
    this.#closed.clear();
  }
}

/**
 * The SSE event name of a frame: clients drop frames without one, and SDKs before 1.0 also those whose name is not in a
 * list of theirs. These types came later; every SDK reads `message`, and the type is in the data too.
 */
function frameName(type: string): string {
  return type === "session.usage" || type.startsWith("workflow_run.") ? "message" : type;
}
