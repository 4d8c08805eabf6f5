/** Starts the broker and the engine as utility processes, introduces them to each other and keeps both alive. */
import { randomBytes } from "node:crypto";
import type {
  BrokerAddress,
  BrokerBoot,
  ChildFailed,
  EngineBoot,
  FromBroker,
  FromEngine,
  ModelEndpoint,
  ToEngine,
} from "../../main/contract/process.ts";
import { KeptChild } from "./child.ts";

export interface SupervisorOptions {
  entries: { engine: string; broker: string };
  env: { engine: Record<string, string>; broker: Record<string, string> };
  /** Goes to the broker's boot message and nowhere else. */
  model: ModelEndpoint;
  /** Seals credentials in place of a key in the OS keychain; null when the person gave none. */
  vault_passphrase: string | null;
  engine: Pick<EngineBoot, "data_dir" | "port" | "auto_resume" | "sandbox" | "renderer_dir">;
  log: (line: string) => void;
  /** An engine listens at `url`: the first one, and each that replaced a dead one. */
  onEngine: (url: string) => void;
  onAttention: (counts: { needs_you: number; running: number }) => void;
  onFailed: (child: "engine" | "broker", failure: ChildFailed) => void;
}

const QUIT_MS = 10_000;
const CODE_MS = 5000;

export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #secret = randomBytes(32).toString("hex");
  /** Of the next broker: a person may have changed it since the start. */
  #passphrase: string | null;
  readonly #broker: KeptChild;
  readonly #engine: KeptChild;
  #address: BrokerAddress | null = null;
  #waiting: ((address: BrokerAddress) => void)[] = [];
  #codes: ((code: string) => void)[] = [];
  #port: number;

  constructor(options: SupervisorOptions) {
    this.#options = options;
    this.#port = options.engine.port;
    this.#passphrase = options.vault_passphrase;
    const { entries, env, log, onFailed } = options;
    this.#broker = new KeptChild({
      name: "broker",
      entry: entries.broker,
      env: env.broker,
      boot: () => Promise.resolve(this.#brokerBoot()),
      onMessage: (message) => this.#fromBroker(message as FromBroker),
      onFailed: (failure) => onFailed("broker", failure),
      log,
    });
    this.#engine = new KeptChild({
      name: "engine",
      entry: entries.engine,
      env: env.engine,
      boot: async () => this.#engineBoot(await this.#brokerAddress()),
      onMessage: (message) => this.#fromEngine(message as FromEngine),
      onFailed: (failure) => this.#engineFailed(failure),
      log,
    });
  }

  /** Starts both; after a failure was shown, tries again what is down. */
  start(): void {
    this.#broker.start();
    this.#engine.start();
  }

  /** Tells the engine; lost when it is down, because a fresh engine looks at the world itself. */
  tell(message: Extract<ToEngine, { type: "power" | "network" }>): void {
    this.#engine.send(message);
  }

  /** A one-time code with which a page signs in. Rejects when the engine does not answer within 5 s. */
  signInCode(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const timer = setTimeout(() => {
      this.#codes = this.#codes.filter((waiting) => waiting !== answered);
      reject(new Error("The engine gave no sign-in code within 5 s: it is busy or restarting."));
    }, CODE_MS);
    const answered = (code: string): void => {
      clearTimeout(timer);
      resolve(code);
    };
    this.#codes.push(answered);
    this.#engine.send({ type: "sign_in_code" });
    return promise;
  }

  /** Drains the engine, whose last appends may need the broker, then the broker; both within 10 s. */
  async quit(): Promise<void> {
    const end = Date.now() + QUIT_MS;
    await this.#engine.drain(QUIT_MS);
    await this.#broker.drain(Math.max(500, end - Date.now()));
  }

  #brokerBoot(): BrokerBoot {
    const { model, engine } = this.#options;
    const vault_passphrase = this.#passphrase;
    const boot: BrokerBoot = { type: "boot", launch_secret: this.#secret, model, data_dir: engine.data_dir };
    return vault_passphrase === null ? boot : { ...boot, vault_passphrase };
  }

  #engineBoot(broker: BrokerAddress): EngineBoot {
    return { ...this.#options.engine, type: "boot", host: "127.0.0.1", port: this.#port, broker };
  }

  #brokerAddress(): Promise<BrokerAddress> {
    if (this.#address !== null) return Promise.resolve(this.#address);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #fromBroker(message: FromBroker): void {
    if (message.type === "passphrase") this.#passphrase = message.passphrase;
    if (message.type !== "ready") return;
    const known = this.#address !== null;
    this.#address = { url: message.url, launch_secret: this.#secret };
    for (const resolve of this.#waiting.splice(0)) resolve(this.#address);
    if (known) this.#engine.send({ type: "broker", broker: this.#address });
  }

  #fromEngine(message: FromEngine): void {
    switch (message.type) {
      case "ready":
        this.#port = Number(new URL(message.url).port);
        // Codes asked from an engine that died meanwhile are answered by its successor.
        for (const _ of this.#codes) this.#engine.send({ type: "sign_in_code" });
        return this.#options.onEngine(message.url);
      case "sign_in_code":
        return this.#codes.shift()?.(message.code);
      case "attention":
        return this.#options.onAttention({ needs_you: message.needs_you, running: message.running });
      default:
        return;
    }
  }

  /** Somebody took the former port between two starts: a port that nobody asked for may move. */
  #engineFailed(failure: ChildFailed): void {
    if (failure.code === "port_in_use" && this.#options.engine.port === 0 && this.#port !== 0) {
      this.#port = 0;
      return this.#engine.start();
    }
    this.#options.onFailed("engine", failure);
  }
}
