/** Brings uses of credentials from the broker, which sees them, into the sessions, which keep them. */
import { setTimeout as sleep } from "node:timers/promises";
import type { EventDraft } from "../../contract/events.ts";
import type { AuditAnswer, AuditEntry } from "../../contract/vaults/grants.ts";
import { type BrokerClient, readBody } from "../../harness/broker_client.ts";
import { type Ledger, UnknownSessionError } from "../../session/ledger.ts";
import { GatheredUses } from "./gathered_uses.ts";

/** The broker answers after 20 s at the latest. */
const ANSWER_MS = 30_000;
/** Between two questions: what is used meanwhile comes in one answer. */
const PACE_MS = 250;
const LONGEST_PAUSE_MS = 2_000;
const LAST_MS = 2_000;
/** 5,000 entries with their texts. */
const MAX_BYTES = 16 * 1024 * 1024;

export interface AuditPorts {
  client: Pick<BrokerClient, "broker" | "roundTrip">;
  ledger: Pick<Ledger, "emitEvent">;
  onError(sessionId: string, error: unknown): void;
  /** One line about uses that cannot be told any more. */
  log(line: string): void;
}

export class AuditChannel {
  readonly #ports: AuditPorts;
  readonly #uses: GatheredUses;
  readonly #listeners = new Set<(use: AuditEntry) => void>();
  readonly #stopped = new AbortController();
  /** Start of the broker that the numbers are of. */
  #start = "";
  #seen = 0;
  #running: Promise<void> = Promise.resolve();

  constructor(ports: AuditPorts) {
    this.#ports = ports;
    this.#uses = new GatheredUses((sessionId, event) => this.#append(sessionId, event), ports.onError);
  }

  start(): void {
    this.#running = this.#run();
  }

  /** Calls `listener` with every use as the broker tells it, before it is in the session. Returns the unsubscriber. */
  onUse(listener: (use: AuditEntry) => void): () => void {
    const own = (use: AuditEntry): void => listener(use);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  /** Fetches what there is, writes all of it, and stops. Resolves within a few seconds whatever the broker does. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#running;
    await this.#ask("no", AbortSignal.timeout(LAST_MS)).catch(() => undefined);
    await this.#uses.flush();
    // Lets go of what was written; what it does not hear of, it would tell the next engine again.
    await this.#ask("no", AbortSignal.timeout(LAST_MS)).catch(() => undefined);
    await this.#uses.flush();
  }

  /** A session that was deleted meanwhile needs no telling. */
  async #append(sessionId: string, event: EventDraft): Promise<"written" | "gone"> {
    try {
      await this.#ports.ledger.emitEvent(sessionId, event);
      return "written";
    } catch (error) {
      if (error instanceof UnknownSessionError) return "gone";
      throw error;
    }
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    let pause = PACE_MS;
    while (!signal.aborted) {
      try {
        await this.#ask("yes", AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)]));
        pause = PACE_MS;
      } catch {
        // The broker is away, restarting, or shutting down.
        pause = Math.min(2 * pause, LONGEST_PAUSE_MS);
      }
      await sleep(pause, undefined, { signal }).catch(() => undefined);
    }
  }

  async #ask(waits: "yes" | "no", signal: AbortSignal): Promise<void> {
    const { client, log } = this.#ports;
    const at = (number: number): string => `${this.#start}.${number}`;
    const path = `/control/audit?seen=${at(this.#seen)}&written=${at(this.#uses.written)}&wait=${waits}`;
    const headers = { authorization: `Bearer ${client.broker().launch_secret}` };
    const response = await client.roundTrip("GET", path, headers, undefined, signal);
    const text = await readBody(response, MAX_BYTES);
    if (response.statusCode !== 200) throw new Error(`status ${response.statusCode}`);
    const { start, data, lost } = JSON.parse(text) as AuditAnswer;
    if (start !== this.#start) {
      this.#start = start;
      this.#seen = 0;
      this.#uses.restart();
    }
    if (lost > 0) log(`${lost} uses of credentials were not written into their sessions: they were too many.`);
    for (const entry of data) {
      this.#seen = Math.max(this.#seen, entry.number);
      this.#uses.note(entry);
      for (const listener of this.#listeners) listener(entry);
    }
  }
}
