/**
 * One supervised child process: forked with an IPC channel, restarted with back-off when it dies, given up when it dies
 * too often, drained on request. Knows nothing of what the child does.
 */
import { type ChildProcess, fork } from "node:child_process";
import { type ChildFailed, restartDelayMs } from "../contract/process.ts";

/** Why a child is not coming back. */
export type ChildEnd =
  /** It exited on its own with code 0, was asked to stop by a signal, or was drained. */
  | { kind: "clean" }
  | { kind: "failed"; failure: ChildFailed }
  | { kind: "gave_up"; message: string }
  /** It died where a crash point was armed: tests watch for this. */
  | { kind: "crash_point" };

export interface ChildSpec<Boot> {
  name: "engine" | "broker";
  /** Path of the child's entry module. */
  entry: string;
  /** Environment of the `start`-th start, 0-based. */
  env: (start: number) => Record<string, string>;
  /** Message sent first. May wait, for example until the broker listens. */
  boot: (start: number) => Promise<Boot>;
  /** True when a death by SIGKILL at this start is a crash point's doing. */
  armed?: (start: number) => boolean;
  /** True when a start that failed with this code is worth repeating (the next boot message differs). */
  repeats?: (failure: ChildFailed) => boolean;
  /** File descriptor for the child's stdout and stderr. Never our stdout: that one line belongs to `serve --json`. */
  log_fd: number;
}

export interface ChildHooks {
  onMessage: (message: { type: string }) => void;
  /** The process is gone and a new one comes up in `delayMs`. */
  onDeath: (text: string, delayMs: number) => void;
  onEnd: (end: ChildEnd) => void;
}

export interface GiveUp {
  deaths: number;
  within_ms: number;
}

const GIVE_UP: GiveUp = { deaths: 5, within_ms: 60_000 };

export class SupervisedChild<Boot extends object> {
  readonly #spec: ChildSpec<Boot>;
  readonly #hooks: ChildHooks;
  readonly #giveUp: GiveUp;
  #process: ChildProcess | null = null;
  #starts = 0;
  /** Times of recent deaths, milliseconds since the epoch. */
  #deaths: number[] = [];
  #failure: ChildFailed | null = null;
  #timer: NodeJS.Timeout | null = null;
  #draining = false;
  #ended = false;
  readonly #gone: (() => void)[] = [];

  constructor(spec: ChildSpec<Boot>, hooks: ChildHooks, giveUp: GiveUp = GIVE_UP) {
    this.#spec = spec;
    this.#hooks = hooks;
    this.#giveUp = giveUp;
  }

  /** Pid of the process that runs now; null between a death and the restart. */
  get pid(): number | null {
    return this.#process?.pid ?? null;
  }

  /** Starts the child. Call it once; restarts are its own business. */
  start(): void {
    const start = this.#starts;
    this.#starts += 1;
    this.#failure = null;
    this.#spec.boot(start).then(
      (boot) => this.#fork(start, boot),
      (error: unknown) => this.#end({ kind: "gave_up", message: String(error) }),
    );
  }

  #fork(start: number, boot: Boot): void {
    if (this.#draining || this.#ended) return;
    const { entry, env, log_fd } = this.#spec;
    const child = fork(entry, [], {
      env: env(start),
      execArgv: [],
      stdio: ["ignore", log_fd, log_fd, "ipc"],
      // Its own process group: Ctrl+C in the terminal is for this process, which then drains the children in order.
      detached: process.platform !== "win32",
      windowsHide: true,
    });
    this.#process = child;
    child.on("message", (message) => this.#receive(message));
    // Without a spawned process there is no `exit`, only `error`; with one, `error` also reports a failed send.
    child.on("error", (error) => {
      if (child.pid === undefined) this.#left(child, start, `could not be started: ${error.message}`, null, null);
    });
    child.on("exit", (code, signal) => {
      whenChannelIsRead(child, () => this.#left(child, start, signal ?? `exit code ${code}`, code, signal));
    });
    this.send(boot);
  }

  /** Sends a message to the running process; false when there is none that could receive it. */
  send(message: object): boolean {
    const child = this.#process;
    if (child === null || !child.connected) return false;
    // A send to a process that dies meanwhile fails here and shows as its exit: nothing else to do about it.
    child.send(message, (error) => void error);
    return true;
  }

  #receive(message: unknown): void {
    if (typeof message !== "object" || message === null || !("type" in message) || typeof message.type !== "string")
      return;
    const typed = message as { type: string };
    if (typed.type === "failed") this.#failure = typed as ChildFailed;
    else this.#hooks.onMessage(typed);
  }

  /** Called at least once per process, possibly twice: the first call counts. */
  #left(child: ChildProcess, start: number, how: string, code: number | null, signal: NodeJS.Signals | null): void {
    if (this.#process !== child) return;
    this.#process = null;
    for (const resolve of this.#gone.splice(0)) resolve();
    if (this.#draining || this.#ended) return this.#end({ kind: "clean" });
    if (this.#failure !== null && this.#spec.repeats?.(this.#failure) !== true) {
      return this.#end({ kind: "failed", failure: this.#failure });
    }
    if (this.#failure === null && (code === 0 || signal === "SIGTERM" || signal === "SIGINT"))
      return this.#end({ kind: "clean" });
    if (signal === "SIGKILL" && this.#spec.armed?.(start) === true) return this.#end({ kind: "crash_point" });
    this.#restart(how);
  }

  #restart(how: string): void {
    const now = Date.now();
    this.#deaths = [...this.#deaths.filter((at) => now - at < this.#giveUp.within_ms), now];
    if (this.#deaths.length > this.#giveUp.deaths) {
      const message =
        `The ${this.#spec.name} died ${this.#deaths.length} times within ${Math.round(this.#giveUp.within_ms / 1000)} s ` +
        `(last: ${how}) and was not started again. Everything acknowledged is safe on disk. The log says why it died; ` +
        "`longhaul doctor` checks this machine; starting again goes on where it stopped.";
      return this.#end({ kind: "gave_up", message });
    }
    const delay = restartDelayMs(this.#deaths.length - 1);
    this.#hooks.onDeath(how, delay);
    this.#timer = setTimeout(() => this.start(), delay);
  }

  #end(end: ChildEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#hooks.onEnd(end);
  }

  /** Resolves when no process of this child runs. */
  #whenGone(): Promise<void> {
    return this.#process === null ? Promise.resolve() : new Promise((resolve) => this.#gone.push(resolve));
  }

  /**
   * Asks the child to finish and exit, and kills it after `boundMs`. No restart follows.
   * @returns false when it had to be killed
   */
  async drain(boundMs: number): Promise<boolean> {
    this.#draining = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    // Without a channel it cannot be asked; a live child that lost its channel is on its way out already.
    this.send({ type: "drain" });
    let inTime = true;
    const bound = setTimeout(() => {
      inTime = false;
      this.kill();
    }, boundMs);
    await this.#whenGone();
    clearTimeout(bound);
    this.#end({ kind: "clean" });
    return inTime;
  }

  /** Kills the process at once. No restart follows. */
  kill(): void {
    this.#draining = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#process?.kill("SIGKILL");
  }
}

/** The exit can be reported before the last messages are read, and a `failed` among them decides what the exit means. */
function whenChannelIsRead(child: ChildProcess, then: () => void): void {
  if (!child.connected) return then();
  const bound = setTimeout(then, 1000);
  child.once("disconnect", () => {
    clearTimeout(bound);
    then();
  });
}
