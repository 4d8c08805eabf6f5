/** A call that runs in this process and whoever attends it. */
import type { ExecuteCall } from "../port.ts";

/** Shown to whoever attaches while the call runs. */
const REPLAYED_CHARS = 64 * 1024;

export class RunningCall {
  /** Called when the call is over. */
  forget: () => void = () => undefined;
  readonly #abort = new AbortController();
  readonly #listeners = new Set<(chunk: string) => void>();
  readonly #perform: (call: ExecuteCall) => Promise<string>;
  readonly #id: string;
  #result: Promise<string> | null = null;
  #output = "";

  constructor(perform: (call: ExecuteCall) => Promise<string>, id: string) {
    this.#perform = perform;
    this.#id = id;
  }

  /** Starts the call, or attaches to it; aborting the signal of any attendant stops it. */
  async attend(call: ExecuteCall): Promise<string> {
    const abort = (): void => this.#abort.abort(call.signal.reason);
    const { onOutput } = call;
    if (call.signal.aborted) abort();
    call.signal.addEventListener("abort", abort);
    if (onOutput !== undefined) {
      if (this.#output !== "") onOutput(this.#output);
      this.#listeners.add(onOutput);
    }
    try {
      this.#result ??= this.#begin();
      return await this.#result;
    } finally {
      call.signal.removeEventListener("abort", abort);
      if (onOutput !== undefined) this.#listeners.delete(onOutput);
    }
  }

  #begin(): Promise<string> {
    const onOutput = (chunk: string): void => {
      this.#output = (this.#output + chunk).slice(-REPLAYED_CHARS);
      for (const listener of this.#listeners) listener(chunk);
    };
    const call = { tool_use_id: this.#id, signal: this.#abort.signal, onOutput };
    return this.#perform(call).finally(() => this.forget());
  }
}
