/** One session's embedded sandbox, as the engine knows it: a folder, and the host that works in it when there is one. */
import { chmod, readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { SessionResource } from "../../contract/events.ts";
import type { BroughtBack, RepositoryChanges } from "../../contract/local_api.ts";
import {
  CallInterrupted,
  type CallState,
  type ExecuteCall,
  type Hand,
  OutcomeUnknown,
  type ProvisionRequest,
  type ProvisionResult,
  SandboxLost,
  ToolFailure,
} from "../port.ts";
import type { RepositoryRemotes } from "../resources/remote_source.ts";
import { CallLog } from "./call_log.ts";
import type { Answer } from "./calls.ts";
import type { SandboxLayout } from "./layout.ts";
import { type HostClient, HostGone } from "./link/client.ts";
import { connectHost, findHost, type HostProgram, hostRecord } from "./link/launch.ts";
import { removeDetached } from "./placing/detached.ts";
import { placeSkills } from "./placing/skills.ts";
import { placeVariables } from "./placing/variables.ts";
import { makeDirectories, placeResources, repositoryChanges } from "./provision.ts";
import { bringBackChanges } from "./results/bring_back.ts";

/** A host that does not stop a call within this time is taken for stuck. */
const INTERRUPT_TIMEOUT_MS = 10_000;
const SHUTDOWN_TIMEOUT_MS = 3000;
/** Hosts that may die under one call before it is given up: a call that kills every host must end, too. */
const MAX_HOSTS_PER_CALL = 2;

/** How the folder of a sandbox is called while it is being removed. */
export const REMOVED = ".removed-";

export class EmbeddedSandbox implements Hand {
  readonly #layout: SandboxLayout;
  readonly #program: HostProgram;
  readonly #remotes: RepositoryRemotes | null;
  #client: HostClient | null = null;
  #connecting: Promise<{ client: HostClient; adopted: boolean }> | null = null;
  #provisioning: Promise<ProvisionResult> | null = null;
  #changes: Promise<unknown> = Promise.resolve();
  #destroyed = false;

  constructor(layout: SandboxLayout, program: HostProgram, remotes: RepositoryRemotes | null = null) {
    this.#remotes = remotes;
    this.#layout = layout;
    this.#program = program;
  }

  provision(request: ProvisionRequest): Promise<ProvisionResult> {
    this.#provisioning ??= this.#provision(request).finally(() => {
      this.#provisioning = null;
    });
    return this.#provisioning;
  }

  async #provision(request: ProvisionRequest): Promise<ProvisionResult> {
    const started = performance.now();
    try {
      await makeDirectories(this.#layout, request.resources);
      // The host loads its code while files are copied; it needs nothing but the folders.
      const [connection] = await Promise.all([this.#connect(), this.#place(request)]);
      if (!connection.adopted) {
        const duration_ms = Math.round(performance.now() - started);
        request.onStep({ step: "start the sandbox's process", duration_ms, error: null });
      }
      const { adopted } = connection;
      return { hand: this, adopted, how: adopted ? "adopted" : "created", notice: null };
    } catch (error) {
      throw lost(error);
    }
  }

  async #place(request: ProvisionRequest): Promise<void> {
    placeVariables(this.#layout, request);
    await removeDetached(this.#layout, request);
    await placeResources(this.#layout, { ...request, remotes: this.#remotes });
    // After the repositories: one of them may be the whole working directory.
    await placeSkills(this.#layout, request);
  }

  async execute(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    const { tool_use_id: id, signal } = call;
    for (let hosts = 0; hosts < MAX_HOSTS_PER_CALL; hosts += 1) {
      if (signal.aborted) throw new CallInterrupted("The call was stopped before it ran.");
      try {
        const { client } = await this.#connect();
        const answer = await this.#ask(client, name, input, call);
        return this.#settle(id, answer);
      } catch (error) {
        if (isPortError(error)) throw error;
        if (!(error instanceof HostGone)) throw lost(error);
        // The next host finds in its record of calls how far this one came, and answers with that.
      }
    }
    throw new SandboxLost(
      `The sandbox's process died ${MAX_HOSTS_PER_CALL} times during this call. Its files are intact; the next call starts ` +
        "a new process. Try something that needs less memory.",
    );
  }

  #ask(client: HostClient, name: string, input: unknown, call: ExecuteCall): Promise<Answer> {
    const { tool_use_id: id, signal } = call;
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined;
      const interrupt = (): void => {
        client.interrupt(id);
        timer = setTimeout(() => {
          reject(new CallInterrupted("The call was told to stop, but the sandbox did not confirm it."));
        }, INTERRUPT_TIMEOUT_MS);
      };
      const answer = client.execute(id, name, input, (chunk) => call.onOutput?.(chunk));
      if (signal.aborted) interrupt();
      else signal.addEventListener("abort", interrupt, { once: true });
      answer.then(resolve, reject).finally(() => {
        clearTimeout(timer);
        signal.removeEventListener("abort", interrupt);
      });
    });
  }

  #settle(id: string, answer: Answer): string {
    if (answer.type === "refused") throw new SandboxLost(answer.message);
    if (answer.type === "unknown_outcome") throw new OutcomeUnknown(this.#unknownOutcome(id));
    const { outcome } = answer;
    if (outcome.kind === "interrupted") throw new CallInterrupted("The call was stopped.");
    if (outcome.kind === "failure") throw new ToolFailure(outcome.text);
    return outcome.text;
  }

  #unknownOutcome(id: string): string {
    const text = "The run was cut off; it may or may not have taken effect. Inspect the state before repeating.";
    const output = new CallLog(this.#layout.calls).output(id).trimEnd();
    return output === "" ? text : `${text}\nOutput until then:\n${output}`;
  }

  async callState(id: string): Promise<CallState> {
    const client = await this.#running();
    if (client !== null) {
      try {
        return await client.state(id);
      } catch (error) {
        if (!(error instanceof HostGone)) throw error;
        // It ended just now: what it wrote down is all there is to know.
      }
    }
    const log = new CallLog(this.#layout.calls);
    if (log.outcome(id) !== null) return "done";
    return log.isClaimed(id) ? "lost" : "unknown";
  }

  changes(resources: readonly SessionResource[]): Promise<RepositoryChanges[]> {
    return this.#inTurn(() => repositoryChanges(this.#layout, resources));
  }

  /** See {@link SandboxProvider.bringBack}. */
  bringBack(
    sessionId: string,
    resources: readonly SessionResource[],
    mountPath: string | null,
  ): Promise<BroughtBack[]> {
    return this.#inTurn(() => bringBackChanges(this.#layout, sessionId, resources, mountPath));
  }

  /** One after the other: each reads all files of a repository. */
  #inTurn<T>(look: () => Promise<T>): Promise<T> {
    const result = this.#changes.then(look);
    this.#changes = result.catch(() => undefined);
    return result;
  }

  async destroy(): Promise<void> {
    const { dir } = this.#layout;
    // A call that is cut off by this must not start the next host in a folder that is being removed.
    this.#destroyed = true;
    await this.#provisioning?.catch(() => undefined);
    if ((await stat(dir).catch(() => null)) === null) return;
    await this.#shutDownHost();
    // Renamed first: a sandbox of which half is left must never be found again.
    const removed = join(dir, "..", `${REMOVED}${process.pid}-${Date.now()}`);
    await rename(dir, removed).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ENOENT") throw error;
    });
    await removeTree(removed);
  }

  close(): void {
    this.#client?.close();
    this.#client = null;
  }

  async #shutDownHost(): Promise<void> {
    const client = await this.#running();
    if (client === null) return;
    // It proved to be the host of this sandbox, so this is its process and not another one with the same number.
    const pid = hostRecord(this.#layout)?.pid;
    client.shutdown();
    const deadline = Date.now() + SHUTDOWN_TIMEOUT_MS;
    while (!client.closed && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    if (!client.closed && pid !== undefined) process.kill(pid, "SIGKILL");
    this.close();
  }

  /** The connection to the host that is alive; null when none is. Starts nothing. */
  async #running(): Promise<HostClient | null> {
    if (this.#connecting !== null) return (await this.#connecting.catch(() => null))?.client ?? null;
    if (this.#client !== null && !this.#client.closed) return this.#client;
    if ((await stat(this.#layout.hostFile).catch(() => null)) === null) return null;
    this.#client = await findHost(this.#layout, this.#program);
    return this.#client;
  }

  async #connect(): Promise<{ client: HostClient; adopted: boolean }> {
    if (this.#destroyed) throw new SandboxLost("The sandbox was removed with its session.");
    if (this.#client !== null && !this.#client.closed) return { client: this.#client, adopted: true };
    this.#connecting ??= connectHost(this.#layout, this.#program).finally(() => {
      this.#connecting = null;
    });
    const connection = await this.#connecting;
    this.#client = connection.client;
    return connection;
  }
}

function isPortError(error: unknown): boolean {
  return (
    error instanceof ToolFailure ||
    error instanceof CallInterrupted ||
    error instanceof OutcomeUnknown ||
    error instanceof SandboxLost
  );
}

/** Any other failure means that there is no sandbox to work with. */
function lost(error: unknown): SandboxLost {
  if (error instanceof SandboxLost) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return new SandboxLost("The sandbox's folder is gone. The next call builds a new one.");
  return new SandboxLost(`The sandbox cannot be used: ${message}`);
}

/** Removes a folder whatever modes the agent gave to what is in it. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== "EACCES" && code !== "EPERM") throw error;
    await makeRemovable(path);
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function makeRemovable(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeRemovable(join(folder, entry.name));
  }
}
