/** Wakes that no client asks for: sleep, a frozen process, the network coming back. */
import type { ModelPort } from "../harness/model.ts";
import type { LeaseOrchestrator } from "./orchestrator.ts";

const CHECK_MS = 5_000;
/** A gap between two checks beyond which the machine slept or this process was frozen (DESIGN.md §5). */
const GAP_MS = 30_000;

export interface TriggerOptions {
  orchestrator: Pick<LeaseOrchestrator, "tellRunning" | "networkIsBack">;
  model: Pick<ModelPort, "dropConnections">;
  now: () => number;
}

export class Triggers {
  readonly #options: TriggerOptions;
  #timer: NodeJS.Timeout | null = null;
  #lastCheck: number;
  #suspendedAt: number | null = null;
  #online = true;

  constructor(options: TriggerOptions) {
    this.#options = options;
    this.#lastCheck = options.now();
  }

  start(): void {
    this.#timer = setInterval(() => void this.check(), CHECK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Compares the wall clock with when this check was due. Both sleep and SIGSTOP show as a late timer. */
  async check(): Promise<void> {
    const now = this.#options.now();
    const from = this.#lastCheck;
    this.#lastCheck = now;
    if (now - from <= CHECK_MS + GAP_MS) return;
    // The shell may say the same a moment later: one sleep is one gap.
    this.#suspendedAt = null;
    await this.#wokeUp(from, now);
  }

  /** The shell says that the machine is about to sleep or has woken up. */
  async power(state: "suspend" | "resume"): Promise<void> {
    const now = this.#options.now();
    if (state === "suspend") {
      this.#suspendedAt = now;
      return;
    }
    const from = Math.max(this.#suspendedAt ?? this.#lastCheck, this.#lastCheck);
    this.#suspendedAt = null;
    this.#lastCheck = now;
    if (now - from > CHECK_MS) await this.#wokeUp(from, now);
  }

  async network(online: boolean): Promise<void> {
    const wasOnline = this.#online;
    this.#online = online;
    // The shell also says at start that it is online: dropping connections then would end requests that just began.
    if (!online || wasOnline) return;
    this.#options.model.dropConnections();
    await this.#options.orchestrator.networkIsBack("network");
  }

  async #wokeUp(from: number, to: number): Promise<void> {
    // Sockets first: a write to one that died in the sleep would hang for minutes.
    this.#options.model.dropConnections();
    const seconds = Math.round((to - from) / 1000);
    await this.#options.orchestrator.tellRunning({
      type: "longhaul.sleep_gap",
      from: new Date(from).toISOString(),
      to: new Date(to).toISOString(),
      seconds,
    });
    await this.#options.orchestrator.networkIsBack("power");
  }
}
