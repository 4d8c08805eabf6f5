/**
 * Keeps the broker and the engine alive for a program without Electron (`longhaul serve`, `run`, `resume`): starts both,
 * restarts either, tells the engine where a new broker listens, and drains them in order.
 */
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brokerEnvironment, type Environment, engineEnvironment, type Settings } from "./config.ts";
import type {
  BrokerAddress,
  BrokerBoot,
  ChildFailed,
  EngineBoot,
  FromBroker,
  FromEngine,
  ModelEndpoint,
} from "./contract/process.ts";
import { type ChildEnd, type GiveUp, SupervisedChild } from "./supervision/child.ts";
import { type Stop, stopFor } from "./supervision/stop.ts";

export interface Entries {
  engine: string;
  broker: string;
}

/** What `serve --json` prints and other commands need to find a running engine. */
export interface EngineFacts {
  url: string;
  token: string;
  /** Of the engine. */
  pid: number;
  broker_pid: number;
  data_dir: string;
}

export interface SuperviseOptions {
  settings: Settings;
  model: ModelEndpoint;
  /** Seals credentials in place of a key in the OS keychain; null when the person gave none. */
  vault_passphrase: string | null;
  env: Environment;
  entries: Entries;
  /** Folder of the built user interface, or null. */
  renderer_dir: string | null;
  /** File descriptor for the children's output. */
  log_fd: number;
  /** One line about a restart or a drain, without a newline. */
  log: (line: string) => void;
  /** Called whenever an engine is ready: at first, and after each restart of either process with the new pids. */
  onEngine: (facts: EngineFacts) => void;
  drain_ms?: number;
  give_up?: GiveUp;
}

export interface Supervisor {
  /** Resolves once with how it all ended; never rejects. */
  readonly stopped: Promise<Stop>;
  /** Drains the engine, then the broker; then {@link stopped} resolves. Idempotent. */
  stop(): void;
  /** Kills both now. Nothing acknowledged is lost; what ran is resumed at the next start. */
  kill(): void;
  /** A one-time code with which a browser signs in. Rejects when the engine does not answer within 5 s. */
  signInCode(): Promise<string>;
}

const DRAIN_MS = 10_000;

/** The children's entry modules beside the calling entry module: `.ts` in a checkout, `.js` in the built product. */
export function entriesBeside(entryUrl: string): Entries {
  const folder = dirname(fileURLToPath(entryUrl));
  if (entryUrl.endsWith(".ts")) return { engine: join(folder, "serve.ts"), broker: join(folder, "vault", "serve.ts") };
  return { engine: join(folder, "serve.js"), broker: join(folder, "broker.js") };
}

/** Starts the broker and, once it listens, the engine. */
export function supervise(options: SuperviseOptions): Supervisor {
  const launch = new Launch(options);
  launch.start();
  return launch;
}

class Launch implements Supervisor {
  readonly stopped: Promise<Stop>;
  readonly #options: SuperviseOptions;
  readonly #resolveStopped: (stop: Stop) => void;
  readonly #secret = randomBytes(32).toString("hex");
  readonly #broker: SupervisedChild<BrokerBoot>;
  readonly #engine: SupervisedChild<EngineBoot>;
  /** Where the broker listens; null while it is down. */
  #address: BrokerAddress | null = null;
  #waitingForBroker: ((address: BrokerAddress) => void)[] = [];
  #brokerPid = 0;
  /** The engine as it last said that it is ready; null while it is down. */
  #ready: { url: string; token: string; pid: number } | null = null;
  /** Port of the first engine: a restarted one is given it again, so that clients reconnect. */
  #port: number;
  /** Of the next broker: a person may have changed it since the start. */
  #passphrase: string | null;
  #codes: ((code: string) => void)[] = [];
  #ending = false;
  #killed = false;

  constructor(options: SuperviseOptions) {
    this.#options = options;
    this.#port = options.settings.port;
    this.#passphrase = options.vault_passphrase;
    const { promise, resolve } = Promise.withResolvers<Stop>();
    this.stopped = promise;
    this.#resolveStopped = resolve;
    const { settings, env, entries, log_fd, give_up } = options;
    this.#broker = new SupervisedChild<BrokerBoot>(
      {
        name: "broker",
        entry: entries.broker,
        env: () => brokerEnvironment(env),
        boot: () => Promise.resolve(this.#brokerBoot()),
        log_fd,
      },
      {
        onMessage: (message) => this.#fromBroker(message as FromBroker),
        onDeath: (how, delay) => {
          this.#address = null;
          this.#restarting("broker", how, delay);
        },
        onEnd: (end) => this.#ended("broker", end),
      },
      give_up,
    );
    const crashAt = (start: number): string | null => (start === 0 ? settings.crash_at : null);
    this.#engine = new SupervisedChild<EngineBoot>(
      {
        name: "engine",
        entry: entries.engine,
        env: (start) => engineEnvironment(env, crashAt(start)),
        boot: async () => this.#engineBoot(await this.#brokerAddress()),
        armed: (start) => crashAt(start) !== null,
        repeats: (failure) => this.#movesPort(failure),
        log_fd,
      },
      {
        onMessage: (message) => this.#fromEngine(message as FromEngine),
        onDeath: (how, delay) => {
          this.#ready = null;
          this.#restarting("engine", how, delay);
        },
        onEnd: (end) => this.#ended("engine", end),
      },
      give_up,
    );
  }

  start(): void {
    this.#broker.start();
    this.#engine.start();
  }

  #brokerBoot(): BrokerBoot {
    const { model, settings } = this.#options;
    const vault_passphrase = this.#passphrase;
    const boot: BrokerBoot = { type: "boot", launch_secret: this.#secret, model, data_dir: settings.data_dir };
    return vault_passphrase === null ? boot : { ...boot, vault_passphrase };
  }

  #engineBoot(broker: BrokerAddress): EngineBoot {
    const { settings, renderer_dir } = this.#options;
    return {
      type: "boot",
      data_dir: settings.data_dir,
      host: "127.0.0.1",
      port: this.#port,
      broker,
      auto_resume: settings.auto_resume,
      sandbox: settings.sandbox,
      renderer_dir,
    };
  }

  /** Never resolves when the broker never listens: then the broker's own end stops the launch. */
  #brokerAddress(): Promise<BrokerAddress> {
    if (this.#address !== null) return Promise.resolve(this.#address);
    return new Promise((resolve) => this.#waitingForBroker.push(resolve));
  }

  #fromBroker(message: FromBroker): void {
    if (message.type === "passphrase") this.#passphrase = message.passphrase;
    if (message.type !== "ready") return;
    this.#brokerPid = message.pid;
    this.#address = { url: message.url, launch_secret: this.#secret };
    for (const resolve of this.#waitingForBroker.splice(0)) resolve(this.#address);
    this.#engine.send({ type: "broker", broker: this.#address });
    this.#announce();
  }

  #fromEngine(message: FromEngine): void {
    if (message.type === "ready") {
      this.#port = Number(new URL(message.url).port);
      this.#ready = { url: message.url, token: message.token, pid: message.pid };
      // Asked of an engine that died meanwhile: its successor answers.
      for (const _ of this.#codes) this.#engine.send({ type: "sign_in_code" });
      this.#announce();
    } else if (message.type === "sign_in_code") {
      this.#codes.shift()?.(message.code);
    }
  }

  /** Says where the engine is; said again when either process is a new one. */
  #announce(): void {
    if (this.#ready === null) return;
    this.#options.onEngine({ ...this.#ready, broker_pid: this.#brokerPid, data_dir: this.#options.settings.data_dir });
  }

  /** Another program took the former port between two starts: a port that nobody asked for may move. */
  #movesPort(failure: ChildFailed): boolean {
    if (failure.code !== "port_in_use" || this.#options.settings.port !== 0 || this.#port === 0) return false;
    this.#port = 0;
    return true;
  }

  #restarting(name: string, how: string, delayMs: number): void {
    const when = delayMs === 0 ? "now" : `in ${delayMs} ms`;
    this.#options.log(`The ${name} died (${how}); it is started again ${when}.`);
  }

  signInCode(): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#codes = this.#codes.filter((waiting) => waiting !== answered);
        reject(new Error("The engine gave no sign-in code within 5 s: it is busy or restarting. Try again."));
      }, 5000);
      const answered = (code: string): void => {
        clearTimeout(timer);
        resolve(code);
      };
      this.#codes.push(answered);
      this.#engine.send({ type: "sign_in_code" });
    });
  }

  stop(): void {
    void this.#finish({ code: 0, reason: "drained", failure: null, message: null });
  }

  kill(): void {
    this.#killed = true;
    this.#engine.kill();
    this.#broker.kill();
    void this.#finish({ code: 1, reason: "killed", failure: null, message: null });
  }

  #ended(name: "engine" | "broker", end: ChildEnd): void {
    void this.#finish(stopFor(name, end));
  }

  /** Takes both children down in order: the engine's last appends may still need the broker. The first cause counts. */
  async #finish(stop: Stop): Promise<void> {
    if (this.#ending) return;
    this.#ending = true;
    const bound = this.#options.drain_ms ?? DRAIN_MS;
    for (const [name, child] of [["engine", this.#engine] as const, ["broker", this.#broker] as const]) {
      const inTime = await child.drain(bound);
      if (!inTime)
        this.#options.log(
          `The ${name} did not finish within ${bound / 1000} s and was killed; nothing acknowledged is lost.`,
        );
    }
    this.#resolveStopped(this.#killed ? { code: 1, reason: "killed", failure: null, message: null } : stop);
  }
}
