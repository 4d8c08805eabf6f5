/**
 * Follows a stream of the engine for as long as it is wanted: reconnects with back-off, goes on after the last position
 * seen, and says truthfully whether it is connected.
 */

import { SseParser } from "../../main/contract/sse/sse.ts";
import { type Problem, problemOf } from "./problem.ts";

export interface FollowOptions {
  /** Opens the stream; asked anew for every connection, so that it can name the last position seen. */
  open: (signal: AbortSignal) => Promise<Response>;
  /** A parsed frame. It must not throw. */
  onFrame: (frame: unknown) => void;
  /** `open` when the engine answers, `away` with the reason when it does not. */
  onState: (state: "open" | "away", problem: Problem | null) => void;
  /** Silence after which a connection counts as dead: a frozen engine closes nothing. */
  silenceMs?: number;
  /** Asks whether the engine still answers when a stream is silent; rejects when not. */
  probe?: (signal: AbortSignal) => Promise<unknown>;
}

/** Milliseconds before reconnection number `n` (0-based): quick at first, since a restarted engine is back within a second. */
export function reconnectDelay(n: number): number {
  return Math.min(5000, 150 * 2 ** n);
}

const PROBE_MS = 2000;

/** Starts following; returns a function that ends it. A problem that a new try cannot help (401, 404) ends it too. */
export function follow(options: FollowOptions): () => void {
  const ended = new AbortController();
  void run(options, ended.signal);
  return () => ended.abort();
}

async function run(options: FollowOptions, ended: AbortSignal): Promise<void> {
  let failures = 0;
  while (!ended.aborted) {
    let problem: Problem | null = null;
    try {
      await connect(options, ended, () => {
        failures = 0;
      });
    } catch (error) {
      problem = problemOf(error);
    }
    if (ended.aborted) return;
    options.onState("away", problem);
    if (problem?.kind === "signed_out" || problem?.kind === "missing") return;
    await pause(reconnectDelay(failures), ended);
    failures += 1;
  }
}

async function connect(options: FollowOptions, ended: AbortSignal, onOpen: () => void): Promise<void> {
  const connection = new AbortController();
  const signal = AbortSignal.any([ended, connection.signal]);
  const response = await options.open(signal);
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  onOpen();
  options.onState("open", null);
  const parser = new SseParser();
  const watch = watchSilence(options, connection);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done || ended.aborted) return;
      watch.heard();
      for (const data of parser.push(value)) {
        const frame = parse(data);
        if (frame !== undefined) options.onFrame(frame);
      }
    }
  } finally {
    watch.stop();
    connection.abort();
  }
}

/** A frame that cannot be read is skipped: the position of the next one shows whether anything is missing. */
function parse(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return undefined;
  }
}

function watchSilence(options: FollowOptions, connection: AbortController): { heard: () => void; stop: () => void } {
  const { silenceMs, probe } = options;
  if (silenceMs === undefined || probe === undefined) return { heard: () => undefined, stop: () => undefined };
  let last = performance.now();
  let probing = false;
  const timer = setInterval(() => {
    if (probing || performance.now() - last < silenceMs) return;
    probing = true;
    probe(AbortSignal.timeout(PROBE_MS)).then(
      () => {
        probing = false;
        last = performance.now();
      },
      () => connection.abort(),
    );
  }, silenceMs / 4);
  return {
    heard: () => {
      last = performance.now();
    },
    stop: () => clearInterval(timer),
  };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
    signal.addEventListener("abort", done, { once: true });
  });
}
