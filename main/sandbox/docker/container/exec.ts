/** Programs beside the runner: started by the engine's exec, with pipes that stay open or waited for within limits. */
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { StringDecoder } from "node:string_decoder";
import type Docker from "dockerode";
import type { ExecStream } from "../../runner/stream.ts";
import type { ExecOptions, ExecResult } from "../ports.ts";
import { Demux, Tail } from "./demux.ts";
import { engineCall, LOOK_MS } from "./engine_call.ts";

const STDERR_KEPT = 16 * 1024;
const DEFAULT_TIMEOUT_MS = 60_000;
const DEFAULT_MAX_OUTPUT = 64 * 1024 * 1024;
/** How long the end of a killed program is waited for. */
const KILL_MS = 5000;

/** The agent's numbers; a name might be missing from the image. */
export const AGENT = "1000:1000";

interface OpenedExec extends ExecStream {
  readonly execId: string;
}

/** @param onStderr gets standard error as it comes */
export async function openExec(
  docker: Docker,
  containerId: string,
  argv: readonly string[],
  options: Pick<ExecOptions, "user" | "cwd" | "env">,
  onStderr?: (bytes: Buffer) => void,
): Promise<OpenedExec> {
  const exec = await engineCall(docker, "start a program in the sandbox", LOOK_MS, (abortSignal) =>
    docker.getContainer(containerId).exec({
      Cmd: [...argv],
      User: options.user === "root" ? "0:0" : AGENT,
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      Tty: false,
      ...(options.cwd === undefined ? {} : { WorkingDir: options.cwd }),
      ...(options.env === undefined
        ? {}
        : { Env: Object.entries(options.env).map(([key, value]) => `${key}=${value}`) }),
      abortSignal,
    }),
  );
  const socket = await engineCall(docker, "start a program in the sandbox", LOOK_MS, (abortSignal) =>
    exec.start({ hijack: true, stdin: true, abortSignal }),
  );
  return { execId: exec.id, ...pipes(socket, onStderr) };
}

function pipes(socket: Duplex, onStderr?: (bytes: Buffer) => void): ExecStream {
  const tail = new Tail(STDERR_KEPT);
  let resolveClosed: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    resolveClosed = resolve;
  });
  const stdout = new Readable({
    read: () => {
      socket.resume();
    },
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  const demux = new Demux(
    (bytes) => {
      if (!stdout.push(bytes)) socket.pause();
    },
    (bytes) => {
      tail.add(bytes);
      onStderr?.(bytes);
    },
  );
  let ended = false;
  const end = (): void => {
    if (ended) return;
    ended = true;
    stdout.push(null);
    socket.destroy();
    resolveClosed();
  };
  socket.on("data", (bytes: Buffer) => demux.feed(bytes));
  socket.once("end", end);
  socket.once("close", end);
  // A broken connection is the end of the stream; whoever reads it asks the engine what happened.
  socket.on("error", end);
  return { stdin: socket, stdout, stderr: () => tail.text(), closed, destroy: () => socket.destroy() };
}

/**
 * Runs a program and waits for it. Rejects with EngineGone or ContainerGone, and with an Error that names the program when
 * it went over its time or output, in which case its processes are killed.
 */
export async function runExec(
  docker: Docker,
  containerId: string,
  argv: readonly string[],
  options: ExecOptions,
): Promise<ExecResult> {
  const { timeoutMs = DEFAULT_TIMEOUT_MS, maxOutput = DEFAULT_MAX_OUTPUT } = options;
  const stderr = new Stderr(options.onLine);
  // The first line of standard error is the program's number, with which it can be killed: the engine has no call for it.
  const wrapped = ["/bin/sh", "-c", 'echo "$$" >&2; exec "$@"', "sh", ...argv];
  const stream = await openExec(docker, containerId, wrapped, options, (bytes) => stderr.add(bytes));
  const chunks: Buffer[] = [];
  let size = 0;
  let over: string | null = null;
  const stop = (why: string): void => {
    if (over !== null) return;
    over = why;
    void kill(docker, containerId, options, stderr.pid).finally(() => stream.destroy());
  };
  const timer = setTimeout(() => stop(`took longer than ${timeoutMs / 1000} s and was stopped`), timeoutMs);
  stream.stdout.on("data", (bytes: Buffer) => {
    size += bytes.length;
    if (size > maxOutput) stop(`wrote more than ${maxOutput} bytes and was stopped`);
    else chunks.push(bytes);
  });
  const fed = feed(stream, options.input).catch((error: unknown) => {
    stop(`could not be given its input (${error instanceof Error ? error.message : String(error)})`);
  });
  await stream.closed;
  await fed;
  clearTimeout(timer);
  stderr.finish();
  if (over !== null) throw new Error(`${argv[0]} ${over}.${stderr.lastLine()}`);
  const exitCode = await exitOf(docker, stream.execId);
  return { exitCode, stdout: Buffer.concat(chunks), stderr: stderr.text() };
}

/** Writes the input; a program that ends without reading all of it is no failure. */
async function feed(stream: ExecStream, input: ExecOptions["input"]): Promise<void> {
  if (input === undefined) {
    stream.stdin.end();
    return;
  }
  if (!(input instanceof Readable)) {
    stream.stdin.end(input);
    return;
  }
  await pipeline(input, stream.stdin).catch((error: NodeJS.ErrnoException) => {
    const early = ["EPIPE", "ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE", "ERR_STREAM_DESTROYED"];
    if (!early.includes(error.code ?? "")) throw error;
  });
}

async function exitOf(docker: Docker, execId: string): Promise<number> {
  const doing = "tell how a program in the sandbox ended";
  // The stream can end a moment before the engine has written down the program's end.
  for (let tries = 0; tries < 40; tries += 1) {
    const { Running, ExitCode } = await engineCall(docker, doing, LOOK_MS, (abortSignal) =>
      docker.getExec(execId).inspect({ abortSignal }),
    );
    if (!Running && ExitCode !== null) return ExitCode;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return engineCall(docker, doing, LOOK_MS, () => Promise.reject(new Error("socket hang up: the program still runs")));
}

/** Kills the program and what it started. Never rejects: the caller reports the reason for the killing. */
async function kill(docker: Docker, containerId: string, options: ExecOptions, pid: string | null): Promise<void> {
  if (pid === null) return;
  const argv = ["/bin/sh", "-c", `kill -9 -${pid} || kill -9 ${pid}`];
  try {
    const killing = await openExec(docker, containerId, argv, { user: options.user ?? "agent" });
    killing.stdin.end();
    killing.stdout.resume();
    await Promise.race([killing.closed, new Promise((resolve) => setTimeout(resolve, KILL_MS))]);
    killing.destroy();
  } catch {
    // The container or the engine is gone, and the program with it or beyond reach.
  }
}

/** Standard error without its first line, told line by line. */
class Stderr {
  readonly #onLine: ((line: string) => void) | undefined;
  readonly #tail = new Tail(STDERR_KEPT);
  readonly #decoder = new StringDecoder("utf8");
  #first = true;
  #pending = "";
  /** The program's number inside the container; null until it has told it. */
  pid: string | null = null;

  constructor(onLine?: (line: string) => void) {
    this.#onLine = onLine;
  }

  add(bytes: Buffer): void {
    let rest = bytes;
    if (this.#first) {
      const end = bytes.indexOf(10);
      this.#pending += bytes.subarray(0, end === -1 ? bytes.length : end).toString("latin1");
      if (end === -1) return;
      this.#first = false;
      if (/^\d+$/.test(this.#pending)) this.pid = this.#pending;
      this.#pending = "";
      rest = bytes.subarray(end + 1);
    }
    this.#tail.add(rest);
    if (this.#onLine === undefined) return;
    // Progress is often rewritten in place with carriage returns.
    const lines = (this.#pending + this.#decoder.write(rest)).split(/\r\n|\n|\r/);
    this.#pending = (lines.pop() ?? "").slice(-4096);
    for (const line of lines) if (line !== "") this.#onLine(line);
  }

  finish(): void {
    if (!this.#first && this.#pending !== "") this.#onLine?.(this.#pending);
  }

  text(): string {
    return this.#tail.text();
  }

  lastLine(): string {
    const line = this.text().trim().split("\n").at(-1) ?? "";
    return line === "" ? "" : ` Its last line was: ${line.slice(0, 500)}`;
  }
}
