/** A sandbox that records what it is asked and keeps what a real one would keep across an engine's death. */
import type { BroughtBack, OutputFile, RepositoryChanges } from "../../contract/local_api.ts";
import {
  CallInterrupted,
  type CallState,
  type Checkpoint,
  type ExecuteCall,
  type Hand,
  OutcomeUnknown,
  type ProvisionRequest,
  type ProvisionResult,
  type SandboxProvider,
} from "../../sandbox/port.ts";

type Behaviour = (name: string, input: unknown, call: ExecuteCall) => Promise<string>;

export class FakeSandbox implements SandboxProvider {
  readonly kind = "embedded";
  provisions = 0;
  /** Every execution that really began, by tool-use id: more than one entry per id is work done twice. */
  readonly executions: string[] = [];
  readonly #running = new Map<string, Promise<string>>();
  readonly #done = new Map<string, string>();
  readonly #lost = new Set<string>();
  /** What a call does; tests replace it. */
  behaviour: Behaviour = async (name, input) => `${name} ${JSON.stringify(input)}`;
  /** Set to make provisioning fail. */
  broken: Error | null = null;
  /** What the next provisioning says was lost. */
  notice: string | null = null;
  /** Answer of `checkpoint`. */
  checkpoints: (Checkpoint | Error | null)[] = [];

  /** What happens while it is provisioned; tests replace it. */
  provisioning: (request: ProvisionRequest) => Promise<void> = () => Promise.resolve();

  async provision(request?: ProvisionRequest): Promise<ProvisionResult> {
    this.provisions += 1;
    if (request !== undefined) await this.provisioning(request);
    if (this.broken !== null) throw this.broken;
    const hand: Hand = { execute: (name, input, call) => this.#execute(name, input, call) };
    const adopted = this.provisions > 1;
    return { hand, adopted, how: adopted ? "adopted" : "created", notice: this.notice };
  }

  async callState(_session: string, id: string): Promise<CallState> {
    if (this.#done.has(id)) return "done";
    if (this.#lost.has(id)) return "lost";
    return this.#running.has(id) ? "running" : "unknown";
  }

  /** The sandbox dies with everything that runs in it. */
  die(): void {
    for (const id of this.#running.keys()) this.#lost.add(id);
    this.#running.clear();
  }

  async changes(): Promise<RepositoryChanges[]> {
    return [];
  }

  async bringBack(): Promise<BroughtBack[]> {
    return [];
  }

  async outputs(): Promise<OutputFile[]> {
    return [];
  }

  async readOutput(): Promise<null> {
    return null;
  }

  async checkpoint(): Promise<Checkpoint | null> {
    const next = this.checkpoints.shift() ?? null;
    if (next instanceof Error) throw next;
    return next;
  }

  async destroy(): Promise<void> {
    this.die();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #execute(name: string, input: unknown, call: ExecuteCall): Promise<string> {
    const id = call.tool_use_id;
    const done = this.#done.get(id);
    if (done !== undefined) return Promise.resolve(done);
    if (this.#lost.has(id)) return Promise.reject(new OutcomeUnknown("lost"));
    let running = this.#running.get(id);
    if (running === undefined) {
      this.executions.push(id);
      running = this.behaviour(name, input, call);
      this.#running.set(id, running);
      running.then(
        (text) => {
          if (this.#running.delete(id)) this.#done.set(id, text);
        },
        () => this.#running.delete(id),
      );
    }
    return new Promise((resolve, reject) => {
      call.signal.addEventListener("abort", () => reject(new CallInterrupted("stopped")), { once: true });
      running.then(resolve, reject);
    });
  }
}
