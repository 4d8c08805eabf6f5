/** The terminal, or whatever stands in its place: output, colours, questions. */
import { createInterface } from "node:readline";
import { type Readable, Writable } from "node:stream";
import type { WriteStream } from "node:tty";
import type { Environment } from "../config.ts";

export interface Terminal {
  /** Writes to stdout as it is. */
  out: (text: string) => void;
  /** Writes to stderr as it is. */
  err: (text: string) => void;
  /** True when a person can be asked: both stdin and stdout are terminals. */
  interactive: boolean;
  /** True when stdin is a terminal: what is typed there shows unless it is asked for hidden. */
  typed: boolean;
  color: boolean;
  /** Asks one line. Null when the input ended or `signal` aborted. `onInterrupt` is called for Ctrl+C at the prompt. */
  ask: (question: string, signal: AbortSignal, onInterrupt: () => void) => Promise<string | null>;
  /** Asks one line that is not shown while it is typed. Null when the input ended or Ctrl+C was pressed. */
  askHidden: (question: string) => Promise<string | null>;
  /** Everything of stdin as text. */
  readInput: () => Promise<string>;
}

interface Streams {
  stdin: Readable & { isTTY?: boolean };
  stdout: Pick<WriteStream, "write"> & { isTTY?: boolean };
  stderr: Pick<WriteStream, "write">;
}

/** The process's own terminal. Colours only on a TTY, and never with `NO_COLOR` (https://no-color.org). */
export function processTerminal(streams: Streams, env: Environment): Terminal {
  const outIsTty = streams.stdout.isTTY === true;
  const noColor = env.NO_COLOR !== undefined && env.NO_COLOR !== "";
  return {
    out: (text) => void streams.stdout.write(text),
    err: (text) => void streams.stderr.write(text),
    interactive: outIsTty && streams.stdin.isTTY === true,
    typed: streams.stdin.isTTY === true,
    color: outIsTty && !noColor && env.TERM !== "dumb",
    ask: (question, signal, onInterrupt) => ask(streams, question, signal, onInterrupt),
    askHidden: (question) => askHidden(streams, question),
    readInput: async () => {
      const chunks: Buffer[] = [];
      for await (const chunk of streams.stdin) chunks.push(Buffer.from(chunk));
      return Buffer.concat(chunks).toString("utf8");
    },
  };
}

function askHidden(streams: Streams, question: string): Promise<string | null> {
  return new Promise((resolve) => {
    // The line editor echoes into this, and nobody sees it.
    const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
    const reader = createInterface({ input: streams.stdin, output: nowhere, terminal: true });
    streams.stderr.write(question);
    const done = (answer: string | null): void => {
      resolve(answer);
      reader.close();
    };
    reader.on("SIGINT", () => done(null));
    reader.on("line", (line) => done(line.trim()));
    reader.on("close", () => {
      streams.stderr.write("\n");
      resolve(null);
    });
  });
}

function ask(streams: Streams, question: string, signal: AbortSignal, onInterrupt: () => void): Promise<string | null> {
  if (signal.aborted) return Promise.resolve(null);
  return new Promise((resolve) => {
    const reader = createInterface({ input: streams.stdin, output: streams.stdout as WriteStream });
    const done = (answer: string | null): void => {
      signal.removeEventListener("abort", aborted);
      resolve(answer);
      reader.close();
    };
    const aborted = (): void => done(null);
    signal.addEventListener("abort", aborted);
    // In raw mode Ctrl+C is a key, not a signal: without this the person could not leave the question.
    reader.on("SIGINT", onInterrupt);
    reader.on("close", () => done(null));
    reader.question(question, done);
  });
}
