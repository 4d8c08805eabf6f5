/** One utility process that is kept alive: restarted with back-off, given up when it dies too often, drained on request. */
import { type UtilityProcess, utilityProcess } from "electron";
import { type ChildFailed, restartDelayMs } from "../../main/contract/process.ts";

export interface ChildSpec {
  name: "engine" | "broker";
  /** Path of the built entry module. */
  entry: string;
  env: Record<string, string>;
  /** First message to each new process. May wait, for example until the broker listens; must not reject. */
  boot: () => Promise<object>;
  onMessage: (message: { type: string }) => void;
  /** It will not be started again by itself; {@link KeptChild.start} tries once more. */
  onFailed: (failure: ChildFailed) => void;
  log: (line: string) => void;
}

/** Deaths within {@link STABLE_MS} of each other after which trying again helps nobody. */
const MAX_DEATHS = 6;
/** A process that lived this long has earned a fresh count. */
const STABLE_MS = 60_000;

export class KeptChild {
  readonly #spec: ChildSpec;
  #process: UtilityProcess | null = null;
  #deaths = 0;
  #failure: ChildFailed | null = null;
  #timer: NodeJS.Timeout | null = null;
  #draining = false;
  #whenGone: (() => void) | null = null;

  constructor(spec: ChildSpec) {
    this.#spec = spec;
  }

  /** Starts the process unless it runs or is about to. Also clears an earlier failure. */
  start(): void {
    if (this.#process !== null || this.#draining) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#failure !== null) this.#deaths = 0;
    this.#failure = null;
    const { name, entry, env, boot } = this.#spec;
    const child = utilityProcess.fork(entry, [], { env, serviceName: `Longhaul ${name}`, stdio: "inherit" });
    this.#process = child;
    const born = Date.now();
    child.on("message", (message: unknown) => this.#receive(message));
    child.once("exit", (code) => this.#left(code, born));
    child.once("spawn", () => {
      void boot().then((message) => {
        // The process may have died while the boot message waited for the broker; its successor gets its own.
        if (this.#process === child) child.postMessage(message);
      });
    });
  }

  /** Sends a message to the running process; false when there is none. */
  send(message: object): boolean {
    if (this.#process === null) return false;
    this.#process.postMessage(message);
    return true;
  }

  #receive(message: unknown): void {
    if (typeof message !== "object" || message === null || !("type" in message)) return;
    const typed = message as { type: string };
    if (typed.type === "failed") this.#failure = typed as ChildFailed;
    else this.#spec.onMessage(typed);
  }

  #left(code: number, born: number): void {
    this.#process = null;
    this.#whenGone?.();
    if (this.#draining) return;
    if (this.#failure !== null) return this.#spec.onFailed(this.#failure);
    this.#deaths = Date.now() - born > STABLE_MS ? 1 : this.#deaths + 1;
    const { name, log } = this.#spec;
    if (this.#deaths >= MAX_DEATHS) {
      const message =
        `Longhaul's ${name} ended ${this.#deaths} times in a row (last exit code ${code}). Everything acknowledged is safe on ` +
        "disk. `longhaul doctor` checks this machine; trying again goes on where it stopped.";
      this.#failure = { type: "failed", code: "other", message };
      return this.#spec.onFailed(this.#failure);
    }
    const delay = restartDelayMs(this.#deaths - 1);
    log(`The ${name} ended with exit code ${code}; it is started again in ${delay} ms.`);
    this.#timer = setTimeout(() => this.start(), delay);
  }

  /** Asks the process to finish and exit, and kills it after `boundMs`. No restart follows. Resolves when it is gone. */
  async drain(boundMs: number): Promise<void> {
    this.#draining = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const child = this.#process;
    if (child === null) return;
    const gone = new Promise<void>((resolve) => {
      this.#whenGone = resolve;
    });
    child.postMessage({ type: "drain" });
    const bound = setTimeout(() => {
      this.#spec.log(`The ${this.#spec.name} did not finish in time and is killed; nothing acknowledged is lost.`);
      kill(child);
    }, boundMs);
    await gone;
    clearTimeout(bound);
  }
}

/** `UtilityProcess.kill()` asks with SIGTERM, which a stuck process ignores. */
function kill(child: UtilityProcess): void {
  if (child.pid !== undefined) process.kill(child.pid, "SIGKILL");
}
