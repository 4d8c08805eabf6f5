/** Runs calls in the host: each id once, whoever asks and however often. */
import type { Machine } from "../machine.ts";
import { CallInterrupted, type CallState, ToolFailure } from "../port.ts";
import { effectOf } from "../toolset/definitions.ts";
import { Toolset } from "../toolset/toolset.ts";
import type { CallLog, Outcome } from "./call_log.ts";

/** Output of calls that run longer is written down, in case this process dies. */
const WRITE_OUTPUT_AFTER_MS = 200;
/** Sent to whoever attaches to a running call. */
const REPLAYED_CHARS = 64 * 1024;
const LOGGED_OUTPUT_CHARS = 100 * 1024;

export type Answer =
  | { type: "outcome"; outcome: Outcome }
  | { type: "unknown_outcome" }
  | { type: "refused"; message: string };

type Listener = (chunk: string) => void;

interface RunningCall {
  answer: Promise<Answer>;
  abort: AbortController;
  output: string;
  listeners: Set<Listener>;
}

export class Calls {
  readonly #toolset: Toolset;
  readonly #log: CallLog;
  readonly #running = new Map<string, RunningCall>();
  /** The shell runs one command after the other. */
  #shellQueue: Promise<unknown> = Promise.resolve();

  constructor(machine: Machine, log: CallLog) {
    this.#toolset = new Toolset(machine);
    this.#log = log;
  }

  get busy(): boolean {
    return this.#running.size > 0;
  }

  state(id: string): CallState {
    if (this.#running.has(id)) return "running";
    if (this.#log.outcome(id) !== null) return "done";
    return this.#log.isClaimed(id) ? "lost" : "unknown";
  }

  /** Runs the call, attaches to it, or answers with what is known of it. Never rejects. */
  async execute(id: string, name: string, input: unknown, listener: Listener): Promise<Answer> {
    try {
      const running = this.#running.get(id) ?? this.#begin(id, name, input);
      if ("type" in running) return running;
      if (running.output !== "") listener(running.output);
      running.listeners.add(listener);
      return await running.answer;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { type: "refused", message: `The sandbox could not record the call, so it was not run: ${reason}` };
    }
  }

  interrupt(id: string): void {
    this.#running.get(id)?.abort.abort();
  }

  interruptAll(): void {
    for (const call of this.#running.values()) call.abort.abort();
  }

  #begin(id: string, name: string, input: unknown): RunningCall | Answer {
    const outcome = this.#log.outcome(id);
    if (outcome !== null) return { type: "outcome", outcome };
    // It started in a host that is gone. Reading again, or writing the same again, is safe.
    if (this.#log.isClaimed(id) && effectOf(name) === "effect") return { type: "unknown_outcome" };
    const call: RunningCall = {
      answer: Promise.resolve({ type: "unknown_outcome" }),
      abort: new AbortController(),
      output: "",
      listeners: new Set(),
    };
    this.#running.set(id, call);
    call.answer = this.#perform(id, name, input, call).finally(() => this.#running.delete(id));
    return call;
  }

  #perform(id: string, name: string, input: unknown, call: RunningCall): Promise<Answer> {
    if (name !== "bash") return this.#run(id, name, input, call);
    const answer = this.#shellQueue.then(() => this.#run(id, name, input, call));
    this.#shellQueue = answer.catch(() => undefined);
    return answer;
  }

  async #run(id: string, name: string, input: unknown, call: RunningCall): Promise<Answer> {
    const { signal } = call.abort;
    if (signal.aborted) return { type: "outcome", outcome: { kind: "interrupted" } };
    try {
      this.#log.claim(id, effectOf(name) === "effect");
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      return { type: "refused", message: `The sandbox could not record the call, so it was not run: ${reason}` };
    }
    const outcome = await this.#outcome(id, name, input, call);
    try {
      this.#log.finish(id, outcome);
    } catch {
      // Whoever waits now gets the outcome. Who asks later is told that it is unknown, which is then the truth.
    }
    return { type: "outcome", outcome };
  }

  async #outcome(id: string, name: string, input: unknown, call: RunningCall): Promise<Outcome> {
    const { signal } = call.abort;
    const startedAt = performance.now();
    const onOutput = (chunk: string): void => {
      call.output = (call.output + chunk).slice(-REPLAYED_CHARS);
      for (const listener of call.listeners) listener(chunk);
      if (performance.now() - startedAt > WRITE_OUTPUT_AFTER_MS) this.#writeOutput(id, call, chunk);
    };
    try {
      return { kind: "ok", text: await this.#toolset.run(name, input, { tool_use_id: id, signal, onOutput }) };
    } catch (error) {
      if (error instanceof CallInterrupted || signal.aborted) return { kind: "interrupted" };
      if (error instanceof ToolFailure) return { kind: "failure", text: error.message };
      const reason = error instanceof Error ? error.message : String(error);
      return { kind: "failure", text: `${name}: the sandbox failed: ${reason}` };
    }
  }

  readonly #written = new WeakMap<RunningCall, number>();

  #writeOutput(id: string, call: RunningCall, chunk: string): void {
    const written = this.#written.get(call) ?? 0;
    const text = written === 0 ? call.output : chunk;
    if (written + text.length > LOGGED_OUTPUT_CHARS) return;
    this.#written.set(call, written + text.length);
    try {
      this.#log.appendOutput(id, text);
    } catch {
      // Only a convenience after a crash: a full disk must not stop the command for it.
      this.#written.set(call, LOGGED_OUTPUT_CHARS);
    }
  }
}
