/** Keeps the broker told of what each session may use: before each use, and again after it was restarted. */
import type { SessionFold } from "../../contract/fold.ts";
import type { SessionGrants } from "../../contract/vaults/grants.ts";
import type { BrokerClient } from "../../harness/broker_client.ts";
import type { Ledger } from "../../session/ledger.ts";
import type { Records } from "../../session/records/records.ts";
import { sessionGrants } from "./session_grants.ts";

export interface GrantsDeps {
  ledger: Pick<Ledger, "getSession">;
  records: Records;
  client: Pick<BrokerClient, "broker" | "control">;
}

interface Registered {
  launch: string;
  text: string;
}

export class GrantsRegister {
  readonly #deps: GrantsDeps;
  readonly #registered = new Map<string, Registered>();
  readonly #running = new Map<string, Promise<SessionGrants>>();

  constructor(deps: GrantsDeps) {
    this.#deps = deps;
  }

  /**
   * Tells the broker what the session may use now, unless it knows. Vaults may have changed since the last use, so they are
   * read each time; concurrent calls share one reading. Rejects when the session is gone or the broker is away: nothing
   * may be used then.
   */
  ensure(sessionId: string): Promise<SessionGrants> {
    const running = this.#running.get(sessionId);
    if (running !== undefined) return running;
    const mine = this.#ensure(sessionId).finally(() => this.#running.delete(sessionId));
    this.#running.set(sessionId, mine);
    return mine;
  }

  /** The session is over. */
  forget(sessionId: string): void {
    this.#registered.delete(sessionId);
  }

  /** As {@link ensure}, for a broker that has just said that it does not know the session. */
  anew(sessionId: string): Promise<SessionGrants> {
    this.#registered.delete(sessionId);
    return this.ensure(sessionId);
  }

  /** Tells the broker of what has changed for sessions that it knows: a value that was replaced or removed. Never rejects. */
  async refresh(): Promise<void> {
    const looked = [...this.#registered.keys()].map(async (sessionId) => {
      // A reading that has begun may not have seen the change.
      await this.#running.get(sessionId)?.catch(() => undefined);
      await this.ensure(sessionId);
    });
    await Promise.allSettled(looked);
  }

  async #ensure(sessionId: string): Promise<SessionGrants> {
    const { ledger, records, client } = this.#deps;
    const record = await ledger.getSession(sessionId);
    if (record === null || !isLive(record.fold)) throw new Error("The session is over: it may use no credential.");
    const grants = await sessionGrants(records, record.fold);
    const text = JSON.stringify(grants);
    const { launch_secret: launch } = client.broker();
    const known = this.#registered.get(sessionId);
    if (known?.launch === launch && known.text === text) return grants;
    await client.control("POST", "/control/grants", { session_id: sessionId, grants });
    this.#registered.set(sessionId, { launch, text });
    return grants;
  }
}

function isLive({ archived_at, phase }: SessionFold): boolean {
  return archived_at === null && phase !== "terminated";
}
