/** Long work that several sessions need at the same time is done once, and each of them is told how it goes. */

/** Who is told what; the part of a request that concerns the work and not the session. */
export interface Listener {
  onStep: (step: { step: string; duration_ms: number; error: string | null }) => void;
  onProgress: (text: string) => void;
}

interface Running {
  promise: Promise<unknown>;
  listeners: Set<Listener>;
  abort: AbortController;
}

export class SharedWork {
  readonly #running = new Map<string, Running>();

  /**
   * Does `work`, or joins the one that goes on under `key`. A caller whose signal is aborted leaves; the work is ended
   * when the last one left. Failures are not kept: the next call tries again.
   * @param work is told to whom to report and when to end
   */
  async run<T>(
    key: string,
    listener: Listener,
    signal: AbortSignal | undefined,
    work: (tell: Listener, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    const running = this.#running.get(key) ?? this.#start(key, work);
    // A copy: the same listener may wait twice.
    const own = { ...listener };
    running.listeners.add(own);
    let leave: () => void = () => undefined;
    const left = new Promise<never>((_resolve, reject) => {
      leave = () => reject(signal?.reason instanceof Error ? signal.reason : new DOMException("left", "AbortError"));
    });
    signal?.addEventListener("abort", leave, { once: true });
    try {
      return (await Promise.race([running.promise, left])) as T;
    } finally {
      signal?.removeEventListener("abort", leave);
      running.listeners.delete(own);
      if (running.listeners.size === 0) {
        running.abort.abort();
        // Whoever comes while the ended work winds up starts afresh.
        if (this.#running.get(key) === running) this.#running.delete(key);
      }
    }
  }

  #start<T>(key: string, work: (tell: Listener, signal: AbortSignal) => Promise<T>): Running {
    const listeners = new Set<Listener>();
    const abort = new AbortController();
    const tell: Listener = {
      onStep: (step) => {
        for (const listener of listeners) listener.onStep(step);
      },
      onProgress: (text) => {
        for (const listener of listeners) listener.onProgress(text);
      },
    };
    const promise = work(tell, abort.signal);
    // Also when everybody has left, a failure must not become an unhandled rejection.
    promise.catch(() => undefined);
    const running = { promise, listeners, abort };
    this.#running.set(key, running);
    return running;
  }
}

/** Does one step and tells its duration and, when it fails, why. */
export async function step<T>(name: string, tell: Listener, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const told = (error: string | null): void =>
    tell.onStep({ step: name, duration_ms: Math.round(performance.now() - started), error });
  try {
    const result = await work();
    told(null);
    return result;
  } catch (error) {
    told(error instanceof Error ? error.message : String(error));
    throw error;
  }
}

/** Passes on at most one text per `everyMs`, and of those in between only the last. */
export function throttled(
  everyMs: number,
  onText: (text: string) => void,
): { tell: (text: string) => void; end: () => void } {
  let timer: NodeJS.Timeout | null = null;
  let waiting: string | null = null;
  const flush = (): void => {
    timer = null;
    if (waiting === null) return;
    onText(waiting);
    waiting = null;
    timer = setTimeout(flush, everyMs);
    timer.unref();
  };
  return {
    tell: (text) => {
      waiting = text;
      if (timer === null) flush();
    },
    end: () => {
      if (timer !== null) clearTimeout(timer);
      flush();
      if (timer !== null) clearTimeout(timer);
    },
  };
}
