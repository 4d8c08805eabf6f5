/**
 * Matches lines on a thread of its own: the model wrote the pattern, and one that backtracks for ever would otherwise
 * stop everything else in this process. A thread can be ended; a regular expression cannot.
 */
import { Worker } from "node:worker_threads";

export interface LineMatcher {
  /** Aborted when the search must stop. */
  readonly signal: AbortSignal;
  /** Indexes of the lines that match; null stands for a line to pass over. Rejects when the signal aborts. */
  match(lines: readonly (string | null)[]): Promise<readonly number[]>;
  end(): void;
}

const SPECIAL = /[\\^$.*+?()[\]{}|]/;

/** Plain text, so that it works in a bundle: there is no file of this module to start a thread from. */
const THREAD = `
const { parentPort, workerData } = require("node:worker_threads");
const expression = new RegExp(workerData);
parentPort.on("message", (lines) => {
  const found = [];
  for (let i = 0; i < lines.length; i++) if (lines[i] !== null && expression.test(lines[i])) found.push(i);
  parentPort.postMessage(found);
});
`;

/** @param pattern a valid regular expression */
export function lineMatcher(pattern: string, signal: AbortSignal): LineMatcher {
  return SPECIAL.test(pattern) ? threadMatcher(pattern, signal) : literalMatcher(pattern, signal);
}

function literalMatcher(pattern: string, signal: AbortSignal): LineMatcher {
  return {
    signal,
    match: async (lines) => {
      signal.throwIfAborted();
      return lines.flatMap((line, index) => (line?.includes(pattern) ? [index] : []));
    },
    end: () => undefined,
  };
}

function threadMatcher(pattern: string, signal: AbortSignal): LineMatcher {
  let worker: Worker | null = null;
  let stop: ((reason: unknown) => void) | null = null;
  const end = (): void => {
    signal.removeEventListener("abort", abort);
    void worker?.terminate();
    worker = null;
  };
  const abort = (): void => {
    stop?.(signal.reason);
    end();
  };
  signal.addEventListener("abort", abort);
  return {
    signal,
    end,
    match: (lines) => {
      signal.throwIfAborted();
      // The default stack of a thread is small enough for a deeply nested pattern to crash the whole process.
      worker ??= new Worker(THREAD, {
        eval: true,
        workerData: pattern,
        env: {},
        execArgv: [],
        resourceLimits: { stackSizeMb: 8, maxOldGenerationSizeMb: 256 },
      });
      const thread = worker;
      return new Promise((resolve, reject) => {
        stop = reject;
        const done = (found: number[]): void => {
          thread.off("error", failed);
          resolve(found);
        };
        const failed = (error: Error): void => {
          thread.off("message", done);
          reject(error);
        };
        thread.once("message", done);
        thread.once("error", failed);
        thread.postMessage(lines);
      });
    },
  };
}
