/** What is told while a sandbox is provisioned. */
import type { EventDraft } from "../../contract/events.ts";
import type { ProvisionStep } from "../../sandbox/port.ts";
import type { Emit } from "../ports.ts";

/** Steps of a provisioning that takes longer than this are shown while it goes on; shorter ones share one commit. */
const SHOW_STEPS_AFTER_MS = 400;

/** Steps of one provisioning on their way into the ledger. */
export class SandboxSteps {
  readonly #emit: Emit;
  #waiting: EventDraft[] = [];
  #timer: NodeJS.Timeout | undefined;
  #emitting: Promise<unknown> = Promise.resolve();
  #failure: unknown = null;

  constructor(emit: Emit) {
    this.#emit = emit;
  }

  add(step: ProvisionStep): void {
    this.#waiting.push(...stepEvents(step));
    this.#timer ??= setTimeout(() => this.#flush(), SHOW_STEPS_AFTER_MS);
  }

  /** What has not been appended yet, for the append that ends the provisioning. Rejects when an earlier append did. */
  async rest(): Promise<EventDraft[]> {
    clearTimeout(this.#timer);
    await this.#emitting;
    if (this.#failure !== null) throw this.#failure;
    return this.#waiting.splice(0);
  }

  #flush(): void {
    this.#timer = undefined;
    const steps = this.#waiting.splice(0);
    this.#emitting = this.#emitting
      .then(() => this.#emit(steps))
      .catch((error: unknown) => {
        this.#failure = error;
      });
  }
}

/** A step in the timeline; what is missing of repositories and hosts is an error of the contract too. */
function stepEvents({ repository, credential, ...step }: ProvisionStep): EventDraft[] {
  const told: EventDraft = { type: "longhaul.sandbox_step", ...step };
  if (credential !== undefined) {
    const message = step.error ?? "The environment's network does not allow a host of this credential.";
    const type = "credential_host_unreachable_error" as const;
    const error = { type, message, ...credential, retry_status: { type: "retrying" as const } };
    return [told, { type: "session.error", error }];
  }
  if (repository === undefined) return [told];
  const error = {
    type: `repository_${repository.problem}_error` as const,
    message: step.error ?? `${repository.url} could not be attached.`,
    repository_url: repository.url,
    // The contract's word for these: the session keeps running, and the next provisioning tries once more.
    retry_status: { type: "retrying" as const },
  };
  return [told, { type: "session.error", error }];
}
