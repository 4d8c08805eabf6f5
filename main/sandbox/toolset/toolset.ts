/** Runs the tools of `agent_toolset_20260401` on a machine, whatever kind of machine it is. */
import { type Machine, SPILL_DIR } from "../machine.ts";
import { type ExecuteCall, ToolFailure } from "../port.ts";
import { safeText } from "../text.ts";
import { bash } from "./bash.ts";
import { edit } from "./edit.ts";
import { glob } from "./glob.ts";
import { grep } from "./grep.ts";
import { read } from "./read.ts";
import { write } from "./write.ts";

/** Characters of any result; the shell's and grep's own limit of 100 KiB and their notes fit in. */
const RESULT_LIMIT = 104_000;
const PREVIEW = 10_000;

export class Toolset {
  readonly #machine: Machine;
  /** The tail of the queue of changes to each file, so that two edits at once do not lose one of them. */
  readonly #changes = new Map<string, Promise<unknown>>();

  constructor(machine: Machine) {
    this.#machine = machine;
  }

  /**
   * Resolves with the text that the model sees. Rejects with {@link ToolFailure} or CallInterrupted; anything else is a
   * fault of the machine.
   */
  async run(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    try {
      return await this.#bounded(await this.#dispatch(name, input, call), call);
    } catch (error) {
      if (!(error instanceof ToolFailure)) throw error;
      throw new ToolFailure(await this.#bounded(error.message, call));
    }
  }

  #dispatch(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    switch (name) {
      case "bash":
        return bash(input, this.#machine, call);
      case "read":
        return read(input, this.#machine);
      case "write":
        return this.#inOrder(input, () => write(input, this.#machine));
      case "edit":
        return this.#inOrder(input, () => edit(input, this.#machine));
      case "glob":
        return glob(input, this.#machine, call.signal);
      case "grep":
        return grep(input, this.#machine, call.signal);
      default:
        throw new ToolFailure(`There is no tool named ${JSON.stringify(name)} in the sandbox.`);
    }
  }

  async #inOrder(input: unknown, change: () => Promise<string>): Promise<string> {
    const path = (input as { file_path?: unknown } | null)?.file_path;
    const key = typeof path === "string" ? await this.#machine.resolve(path).catch(() => path) : "";
    const result = (this.#changes.get(key) ?? Promise.resolve()).then(change);
    const tail = result.catch(() => undefined);
    this.#changes.set(key, tail);
    try {
      return await result;
    } finally {
      if (this.#changes.get(key) === tail) this.#changes.delete(key);
    }
  }

  /** The contract's rule for long outputs: the whole goes to a file, the model sees the start and the file's path. */
  async #bounded(text: string, call: ExecuteCall): Promise<string> {
    const safe = safeText(text);
    if (safe.length <= RESULT_LIMIT) return safe;
    const file = `${SPILL_DIR}/${call.tool_use_id.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 80)}.txt`;
    await this.#machine.write(file, safe);
    const preview = safe.slice(0, PREVIEW).toWellFormed();
    return `${preview}\n[output truncated: ${safe.length} characters in all; the whole output is in ${file}]`;
  }
}
