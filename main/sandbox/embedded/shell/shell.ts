/** The host's side of the shell: keeps its thread, stops it when a command must end, and starts it anew. */
import { statfsSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { ShellFailure, type ShellOutput, type ShellRun, WORKDIR } from "../../machine.ts";
import type { FromShell, RunCommand, ShellState, ShellThreadData } from "./protocol.ts";

/** JavaScript heap of the shell; the memory of Python and of the embedded JavaScript is not in it. */
const HEAP_MB = 768;
/** What a command may use up before it is stopped. */
export interface ShellLimits {
  /** Bytes of memory of the whole host process. */
  memory: number;
  /** Bytes that stay free on the disk: a command may not fill it. */
  freeDisk: number;
}

const LIMITS: ShellLimits = { memory: 2 * 1024 ** 3, freeDisk: 256 * 1024 ** 2 };
const WATCH_EVERY_MS = 250;
/** Output kept for the text of a failure. */
const KEPT_CHARS = 16_000;

interface Running {
  options: ShellRun;
  output: string;
  resolve: (output: ShellOutput) => void;
  reject: (failure: ShellFailure) => void;
  stop: () => void;
}

export class Shell {
  readonly #root: string;
  readonly #entry: string;
  readonly #onState: (state: ShellState) => void;
  readonly #limits: ShellLimits;
  readonly #variables: () => Record<string, string>;
  #state: ShellState;
  #worker: Worker | null = null;
  #running: Running | null = null;
  #closed = false;

  /**
   * @param root folder that the shell sees as `/`
   * @param entry script that a thread is started with; it hands over to `startShellThread`
   * @param onState told when the working directory or the exported variables have changed, before the result
   * @param variables that commands see, asked before each
   */
  constructor(
    root: string,
    entry: string,
    state: ShellState,
    onState: (state: ShellState) => void,
    limits: ShellLimits = LIMITS,
    variables: () => Record<string, string> = () => ({}),
  ) {
    this.#variables = variables;
    this.#limits = limits;
    this.#root = root;
    this.#entry = entry;
    this.#state = state;
    this.#onState = onState;
  }

  /** Loads the shell, so that the first command need not wait for it. */
  warm(): Worker {
    if (this.#worker !== null) return this.#worker;
    const data: ShellThreadData = { role: "shell", root: this.#root, state: this.#state };
    const worker = new Worker(this.#entry, {
      workerData: data,
      env: {},
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB, stackSizeMb: 8 },
    });
    worker.on("message", (message: FromShell) => this.#receive(worker, message));
    worker.on("error", (error: Error & { code?: string }) => {
      const memory = error.code === "ERR_WORKER_OUT_OF_MEMORY";
      this.#lose(worker, memory ? "the command ran out of memory" : `the shell failed: ${error.message}`);
    });
    worker.on("exit", () => this.#lose(worker, "the shell ended unexpectedly"));
    this.#worker = worker;
    return worker;
  }

  /** Rejects with {@link ShellFailure}. One command at a time. */
  run(command: string, options: ShellRun): Promise<ShellOutput> {
    if (options.signal.aborted) return Promise.reject(new ShellFailure("interrupted", "stopped", ""));
    const worker = this.warm();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#setState({ cwd: WORKDIR, env: {} });
        this.#discard(new ShellFailure("timeout", `bash command timed out after ${options.timeoutMs}ms`, ""));
      }, options.timeoutMs);
      const watch = setInterval(() => this.#watch(), WATCH_EVERY_MS);
      const interrupt = (): void => this.#discard(new ShellFailure("interrupted", "stopped", ""));
      options.signal.addEventListener("abort", interrupt);
      const stop = (): void => {
        clearTimeout(timer);
        clearInterval(watch);
        options.signal.removeEventListener("abort", interrupt);
      };
      this.#running = { options, output: "", resolve, reject, stop };
      const variables = this.#variables();
      worker.postMessage({ type: "run", command, spillName: options.spillName, variables } satisfies RunCommand);
    });
  }

  /** Ends the thread for good. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = null;
    this.#closed = true;
    await worker?.terminate();
  }

  /** The next command gets a shell without a past. */
  async restart(): Promise<void> {
    this.#setState({ cwd: WORKDIR, env: {} });
    this.#discard(new ShellFailure("terminated", "bash session terminated", ""));
  }

  #receive(worker: Worker, message: FromShell): void {
    if (worker !== this.#worker || message.type === "ready") return;
    const running = this.#running;
    if (running === null) return;
    if (message.type === "output") {
      running.output = (running.output + message.chunk).slice(-KEPT_CHARS);
      running.options.onOutput(message.chunk);
      return;
    }
    running.stop();
    this.#running = null;
    const { text, truncated } = message.output;
    if (message.type === "done") {
      if (message.state !== null) this.#setState(message.state);
      running.resolve({ exitCode: message.exitCode, text, truncated });
      return;
    }
    if (!message.keepState) this.#setState({ cwd: WORKDIR, env: {} });
    const fault = message.fault === null ? "bash session terminated" : `bash session terminated: ${message.fault}`;
    running.reject(new ShellFailure("terminated", fault, text));
  }

  #setState(state: ShellState): void {
    this.#state = state;
    this.#onState(state);
  }

  #watch(): void {
    const rss = process.memoryUsage.rss();
    if (rss > this.#limits.memory) {
      const used = Math.round(rss / 1024 ** 2);
      return this.#exhausted(`the command used too much memory (${used} MB)`);
    }
    const { bavail, bsize } = statfsSync(this.#root);
    if (bavail * bsize < this.#limits.freeDisk) {
      const left = Math.round(this.#limits.freeDisk / 1024 ** 2);
      this.#exhausted(`less than ${left} MB are left on the disk (remove files that are not needed)`);
    }
  }

  #exhausted(what: string): void {
    const output = this.#running?.output ?? "";
    this.#discard(new ShellFailure("resources", `${what}; it was stopped and the shell restarted`, output));
  }

  /** Ends the thread, whatever it does, and lets the next one load while nobody waits for it. */
  #discard(failure: ShellFailure): void {
    const worker = this.#worker;
    this.#worker = null;
    this.#fail(failure);
    void worker?.terminate().then(() => {
      if (!this.#closed) this.warm();
    });
  }

  /** The thread ended by itself. */
  #lose(worker: Worker, reason: string): void {
    if (worker !== this.#worker) return;
    this.#worker = null;
    const output = this.#running?.output ?? "";
    this.#fail(new ShellFailure("resources", `${reason}; the shell was restarted`, output));
  }

  #fail(failure: ShellFailure): void {
    const running = this.#running;
    this.#running = null;
    running?.stop();
    running?.reject(failure);
  }
}
