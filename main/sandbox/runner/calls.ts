/** Runs a session's calls in its container: each id once, whoever asks, however often and after whatever was cut off. */
import { AsyncLocalStorage } from "node:async_hooks";
import type { FileStat, Machine, ShellOutput, ShellRun, WalkEntry } from "../machine.ts";
import { CallInterrupted, type CallState, type ExecuteCall, OutcomeUnknown, ToolFailure } from "../port.ts";
import { Toolset } from "../toolset/toolset.ts";
import { ChannelClosed, RequestTimeout, type RunnerClient } from "./client.ts";
import { runCommand } from "./command.ts";
import { type Readahead, RunnerFiles } from "./files_access.ts";
import { escapeText } from "./frames.ts";
import type { OutputProgress } from "./live_output.ts";
import { RunningCall } from "./running_call.ts";

/** Tools whose results are kept in the container like those of commands. */
const KEPT_TOOLS = ["edit", "write"];
const ASK_AGAIN_MS = 100;
/** How long a change of a file is awaited that another channel is making. */
const MAX_ASKS = 300;

/** The call on whose behalf the toolset uses the machine. */
interface Current {
  id: string;
  /** False until the command was handed to the container: the toolset found fault with the input before. */
  ran: boolean;
  progress: OutputProgress;
  ahead: Readahead | null;
  kept: boolean;
}

const current = new AsyncLocalStorage<Current>();

/** A container as the toolset sees it. */
export class RunnerMachine implements Machine {
  readonly #client: RunnerClient;
  readonly #files: RunnerFiles;

  constructor(client: RunnerClient) {
    this.#client = client;
    this.#files = new RunnerFiles(client);
  }

  resolve(path: string): Promise<string> {
    return this.#files.resolve(path);
  }

  stat(path: string): Promise<FileStat> {
    return this.#files.stat(path);
  }

  read(path: string): AsyncIterable<Uint8Array> {
    return this.#files.read(path, current.getStore()?.ahead ?? null);
  }

  write(path: string, content: string): Promise<void> {
    const call = current.getStore();
    return this.#files.write(path, content, call?.kept === true ? call.id : null);
  }

  walk(root: string, signal: AbortSignal): AsyncIterable<WalkEntry> {
    const call = current.getStore();
    return this.#files.walk(root, signal, (ahead) => {
      if (call !== undefined) call.ahead = ahead;
    });
  }

  run(command: string, options: ShellRun): Promise<ShellOutput> {
    const call = current.getStore();
    if (call === undefined) throw new Error("a command outside of a call cannot be run once only");
    call.ran = true;
    return runCommand(this.#client, call.id, command, options, call.progress);
  }

  async restartShell(): Promise<void> {
    const call = current.getStore();
    if (call === undefined) throw new Error("a restart outside of a call cannot be done once only");
    await this.#client.request("restart", [call.id]);
  }
}

export class RunnerCalls {
  readonly #client: RunnerClient;
  readonly #toolset: Toolset;
  readonly #running = new Map<string, RunningCall>();
  /** The shell runs one command after the other. */
  #shellQueue: Promise<unknown> = Promise.resolve();

  constructor(client: RunnerClient) {
    this.#client = client;
    this.#toolset = new Toolset(new RunnerMachine(client));
  }

  /**
   * Resolves with the text that the model sees. Rejects with ToolFailure, CallInterrupted, OutcomeUnknown, or
   * {@link ChannelClosed}: the same call on a new channel then goes on where this one left off.
   * @param progress keep one for each call, so that watchers are not shown twice what came before the channel was cut
   */
  execute(name: string, input: unknown, call: ExecuteCall, progress: OutputProgress = { bytes: 0 }): Promise<string> {
    if (!isCallId(call.tool_use_id)) {
      return Promise.reject(new ToolFailure(`${name}: the call's id ${JSON.stringify(call.tool_use_id)} is not one`));
    }
    let running = this.#running.get(call.tool_use_id);
    if (running === undefined) {
      if (this.#client.closed) return Promise.reject(new ChannelClosed("The channel to the container is closed."));
      const begun = new RunningCall((attended) => this.#perform(name, input, attended, progress), call.tool_use_id);
      running = begun;
      this.#running.set(call.tool_use_id, begun);
      begun.forget = () => this.#running.delete(call.tool_use_id);
    }
    return running.attend(call);
  }

  /** Rejects with {@link ChannelClosed}. */
  async state(id: string): Promise<CallState> {
    if (this.#running.has(id)) return "running";
    if (!isCallId(id)) return "unknown";
    return callState((await this.#request("state", [id])).text);
  }

  async #perform(name: string, input: unknown, call: ExecuteCall, progress: OutputProgress): Promise<string> {
    const store: Current = { id: call.tool_use_id, ran: false, progress, ahead: null, kept: KEPT_TOOLS.includes(name) };
    const run = (what: unknown): Promise<string> => current.run(store, () => this.#toolset.run(name, what, call));
    try {
      if (name === "bash") return await this.#inTurn(call, () => this.#command(run, input, store));
      if (call.signal.aborted) throw new CallInterrupted("The call was stopped before it began.");
      const text = await (store.kept ? this.#kept(name, call.tool_use_id, () => run(input)) : run(input));
      if (call.signal.aborted && !store.kept) throw new CallInterrupted("The call was stopped.");
      return text;
    } catch (error) {
      throw this.#outward(name, error, call);
    }
  }

  async #inTurn(call: ExecuteCall, run: () => Promise<string>): Promise<string> {
    const before = this.#shellQueue;
    let done: () => void = () => undefined;
    this.#shellQueue = before.then(() => new Promise<void>((resolve) => (done = resolve)));
    let leave: () => void = () => undefined;
    const aborted = new Promise<void>((resolve) => {
      leave = resolve;
    });
    call.signal.addEventListener("abort", leave);
    try {
      await Promise.race([before, aborted]);
      if (call.signal.aborted) throw new CallInterrupted("The command was stopped before it began.");
      return await run();
    } finally {
      call.signal.removeEventListener("abort", leave);
      // Where this one left early, those behind it still wait for those before it.
      void before.then(() => done());
    }
  }

  async #command(run: (input: unknown) => Promise<string>, input: unknown, store: Current): Promise<string> {
    try {
      return await run(input);
    } catch (error) {
      if (!(error instanceof ToolFailure) || store.ran) throw error;
      // The input is not one: but a call that is known has its result, whatever is asked now.
      const { text } = await this.#request("state", [store.id]);
      if (text === "unknown") throw error;
      return run({ command: ":" });
    }
  }

  /** A change of a file, once, with its result kept. */
  async #kept(name: string, id: string, run: () => Promise<string>): Promise<string> {
    for (let asked = 0; asked < MAX_ASKS; asked += 1) {
      const claim = await this.#request("claim", [id]);
      if (!claim.ok) {
        throw new ToolFailure(
          `${name}: the sandbox could not record the call, so nothing was changed: its disk is full. ` +
            "Remove what is not needed and try again.",
        );
      }
      if (claim.text === "new") return this.#keep(id, run);
      if (claim.text === "applied") return this.#keep(id, async () => `${name}: the change was made`);
      if (claim.text.startsWith("end ")) return this.#result(id, claim.text.slice("end ".length));
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
    throw new OutcomeUnknown("Another channel to the container is still making this change. Inspect the file.");
  }

  async #keep(id: string, run: () => Promise<string>): Promise<string> {
    let failure: ToolFailure | null = null;
    const text = await run().catch((error: unknown) => {
      if (!(error instanceof ToolFailure)) throw error;
      failure = error;
      return error.message;
    });
    // A result that cannot be kept is given all the same; who asks later is told that the change was made.
    await this.#request("done", [id, failure === null ? "0" : "1", escapeText(text)]);
    if (failure !== null) throw failure;
    return text;
  }

  async #result(id: string, code: string): Promise<string> {
    const answer = await this.#request("collect", [id, "-"]);
    const payload = answer.payload ?? Buffer.alloc(0);
    const text = payload.subarray(payload.indexOf("\n") + 1).toString("utf8");
    if (code === "0") return text;
    if (code === "1") throw new ToolFailure(text);
    throw new OutcomeUnknown("The run was cut off; it may or may not have taken effect. Inspect the state first.");
  }

  async #request(operation: string, words: string[]): ReturnType<RunnerClient["request"]> {
    try {
      return await this.#client.request(operation, words);
    } catch (error) {
      if (!(error instanceof RequestTimeout)) throw error;
      this.#client.close("The runner in the container does not answer.");
      throw new ChannelClosed("The runner in the container does not answer.");
    }
  }

  /** What callers are told of an error. */
  #outward(name: string, error: unknown, call: ExecuteCall): Error {
    if (error instanceof CallInterrupted || error instanceof OutcomeUnknown) return error;
    if (error instanceof ChannelClosed) return error;
    if (call.signal.aborted && name !== "bash") return new CallInterrupted("The call was stopped.");
    if (error instanceof ToolFailure) return error;
    if (this.#client.closed) return new ChannelClosed("The channel to the container was closed.");
    return new ToolFailure(`${name}: the sandbox failed: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function callState(text: string): CallState {
  if (text === "running" || text === "claimed") return "running";
  if (text.startsWith("end ")) return text === "end L" ? "lost" : "done";
  return "unknown";
}

/** Ids name files in the container. */
function isCallId(id: string): boolean {
  return /^[A-Za-z0-9_-]{1,100}$/.test(id);
}
