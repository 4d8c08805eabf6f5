import { afterEach, describe, expect, it, vi } from "vitest";
import { follow, reconnectDelay } from "./follow.ts";
import { problemOfAnswer } from "./problem.ts";

const frames = (...values: unknown[]): string =>
  values.map((value) => `event: x\ndata: ${JSON.stringify(value)}\n\n`).join("");

/** A response whose body is written to by the test. */
function stream(signal: AbortSignal): { response: Response; write: (text: string) => void; end: () => void } {
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  const body = new ReadableStream<Uint8Array>({
    start(created) {
      controller = created;
    },
  });
  signal.addEventListener("abort", () => controller.error(new DOMException("aborted", "AbortError")), { once: true });
  return {
    response: new Response(body),
    write: (text) => controller.enqueue(new TextEncoder().encode(text)),
    end: () => controller.close(),
  };
}

describe("follow", () => {
  afterEach(() => void vi.useRealTimers());

  it("goes on after the last position seen when the connection breaks", async () => {
    vi.useFakeTimers();
    const asked: number[] = [];
    const seen: number[] = [];
    const states: string[] = [];
    const streams: ReturnType<typeof stream>[] = [];
    const stop = follow({
      open: async (signal) => {
        asked.push(seen.at(-1) ?? 0);
        const next = stream(signal);
        streams.push(next);
        return next.response;
      },
      onFrame: (frame) => seen.push((frame as { seq: number }).seq),
      onState: (state) => states.push(state),
    });
    await vi.advanceTimersByTimeAsync(0);
    streams[0]?.write(frames({ seq: 1 }, { seq: 2 }));
    streams[0]?.write('data: {"seq": 3');
    await vi.advanceTimersByTimeAsync(0);
    streams[0]?.end();
    await vi.advanceTimersByTimeAsync(200);
    streams[1]?.write(frames({ seq: 3 }));
    await vi.advanceTimersByTimeAsync(0);
    expect(asked).toEqual([0, 2]);
    expect(seen).toEqual([1, 2, 3]);
    expect(states).toEqual(["open", "away", "open"]);
    stop();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(streams).toHaveLength(2);
  });

  it("backs off while the engine is away, and says so at once", async () => {
    vi.useFakeTimers();
    let tries = 0;
    const states: string[] = [];
    const stop = follow({
      open: () => {
        tries += 1;
        return Promise.reject(new TypeError("refused"));
      },
      onFrame: () => undefined,
      onState: (state) => states.push(state),
    });
    await vi.advanceTimersByTimeAsync(0);
    expect(states).toEqual(["away"]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(tries).toBeGreaterThan(10);
    expect(tries).toBeLessThan(25);
    stop();
  });

  it("ends when the engine refuses the token", async () => {
    vi.useFakeTimers();
    let tries = 0;
    const problems: (string | undefined)[] = [];
    follow({
      open: () => {
        tries += 1;
        return Promise.reject(problemOfAnswer(401, null));
      },
      onFrame: () => undefined,
      onState: (_state, problem) => problems.push(problem?.kind),
    });
    await vi.advanceTimersByTimeAsync(60_000);
    expect([tries, problems]).toEqual([1, ["signed_out"]]);
  });

  it("takes a silent stream as dead only when the engine does not answer a probe", async () => {
    vi.useFakeTimers();
    const states: string[] = [];
    let answers = true;
    const stop = follow({
      open: async (signal) => stream(signal).response,
      onFrame: () => undefined,
      onState: (state) => states.push(state),
      silenceMs: 1000,
      probe: () => (answers ? Promise.resolve() : Promise.reject(new Error("frozen"))),
    });
    await vi.advanceTimersByTimeAsync(5000);
    expect(states).toEqual(["open"]);
    answers = false;
    await vi.advanceTimersByTimeAsync(1500);
    expect(states.slice(0, 2)).toEqual(["open", "away"]);
    stop();
  });

  it("waits at most five seconds", () => {
    expect([0, 1, 2, 20].map(reconnectDelay)).toEqual([150, 300, 600, 5000]);
  });
});
