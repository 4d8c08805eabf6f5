/** Keeps the scanner's prints as new as the broker's: asks for what is new, and asks again as soon as it is in effect. */
import { setTimeout as sleep } from "node:timers/promises";
import type { PrintList } from "../../contract/secrets/prints.ts";
import type { SecretScanner } from "../../contract/secrets/scanner.ts";
import { type BrokerClient, readBody } from "../../harness/broker_client.ts";
import { ModelError } from "../../harness/model.ts";

/** The broker answers after 20 s at the latest. */
const ANSWER_MS = 30_000;
/** A hundred thousand values; each print takes about 70 bytes. */
const MAX_BYTES = 128 * 1024 * 1024;
const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 1_000;
/** How long an answer waits for the prints that it names. */
const KNOWN_MS = 15_000;

interface Waiting {
  version: string;
  settle: () => void;
}

export class PrintsFeed {
  readonly #client: BrokerClient;
  readonly #scanner: SecretScanner;
  readonly #stopped = new AbortController();
  #version = "";
  #waiting: Waiting[] = [];
  #running: Promise<void> | null = null;

  constructor(client: BrokerClient, scanner: SecretScanner) {
    this.#client = client;
    this.#scanner = scanner;
  }

  /**
   * Begins to ask, and makes every answer of the broker wait for its prints. Resolves true when the first prints are in
   * effect; false after `waitMs`, and then they come as soon as the broker answers.
   */
  async start(waitMs: number): Promise<boolean> {
    this.#client.waitForPrints((version) => this.known(version));
    this.#running = this.#run();
    return this.#reached("", waitMs);
  }

  /** Resolves when the prints of this version of the broker are in effect. Rejects with ModelError when they do not come. */
  async known(version: string): Promise<void> {
    if (covers(this.#version, version) || (await this.#reached(version, KNOWN_MS))) return;
    const text =
      "The broker's prints of secret values did not come, so its answer was not used: what it may echo could not be scrubbed. Try again.";
    throw new ModelError("failed", text);
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
  }

  #reached(version: string, waitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const waiting: Waiting = {
        version,
        settle: () => {
          clearTimeout(timer);
          resolve(true);
        },
      };
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((one) => one !== waiting);
        resolve(false);
      }, waitMs);
      this.#waiting.push(waiting);
    });
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (!this.#stopped.signal.aborted) {
      try {
        const { version, prints } = await this.#ask();
        this.#scanner.add(prints);
        this.#reach(version);
        pause = FIRST_PAUSE_MS;
      } catch {
        // The broker is away, restarting, or shutting down.
        await sleep(pause, undefined, { signal: this.#stopped.signal }).catch(() => undefined);
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      }
    }
  }

  async #ask(): Promise<PrintList> {
    const headers = { authorization: `Bearer ${this.#client.broker().launch_secret}` };
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(ANSWER_MS)]);
    const path = `/control/prints?known=${this.#version}`;
    const response = await this.#client.roundTrip("GET", path, headers, undefined, signal);
    const text = await readBody(response, MAX_BYTES);
    if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
    return JSON.parse(text) as PrintList;
  }

  #reach(version: string): void {
    this.#version = version;
    const reached = this.#waiting.filter((one) => covers(version, one.version));
    this.#waiting = this.#waiting.filter((one) => !reached.includes(one));
    for (const { settle } of reached) settle();
  }
}

/** True when `known` goes as far as `wanted`; the list of another start of the broker says nothing of it. */
function covers(known: string, wanted: string): boolean {
  const [start, count] = known.split(".");
  const [wantedStart, wantedCount] = wanted.split(".");
  return wanted === "" || (start === wantedStart && Number(count) >= Number(wantedCount));
}
