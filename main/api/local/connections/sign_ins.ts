/**
 * Signing in to MCP servers. The broker does it and seals the tokens; here a record follows it from the first request to
 * the credential, so that neither a reload nor the death of the engine loses what a person did in the browser.
 */
import { randomBytes } from "node:crypto";
import { ApiError, notFound } from "../../../contract/errors.ts";
import { newId } from "../../../contract/ids.ts";
import type { SignIn } from "../../../contract/vaults/connections.ts";
import type { OAuthFlow } from "../../../contract/vaults/oauth.ts";
import { type Deps, timestamp } from "../../http/context.ts";
import { type SignInRecord, signInTable } from "../../v1/vaults/sign_in_records.ts";
import { keepCredential } from "./keep_credential.ts";

/** Where the tokens go and how they are asked for. */
export interface SignInRequest {
  vault_id: string;
  /** The credential that is renewed; null for a new one. */
  credential_id: string | null;
  mcp_server_url: string;
  display_name: string | null;
  scopes: string[] | null;
  client: { client_id: string; client_secret: string | null } | null;
}

/** Milliseconds that the broker may hold back an answer; ours waits a little less, so that its client hears in time. */
const POLL_MS = 20_000;
/** A broker that answers at once although nothing has changed must not be asked without a pause. */
const PAUSE_MS = 250;
const AGAIN_MS = 1_000;
const AGAIN_AT_MOST_MS = 30_000;
/** Failures are told for so long unless they are put away; every record goes after a day. */
const TOLD_MS = 3_600_000;
const KEPT_MS = 24 * 3_600_000;
/** More than a person has open. */
const MOST = 1_000;
const MAX_WAITING = 20;

const GONE =
  "The sign-in ended before it was finished: the credential broker was restarted. Nothing was stored. Sign in again.";

export class SignIns {
  readonly #deps: Deps;
  /** What the broker last said of those that wait. */
  readonly #flows = new Map<string, OAuthFlow>();
  readonly #waiting = new Map<string, Set<() => void>>();

  constructor(deps: Deps) {
    this.#deps = deps;
  }

  /** Goes on with what an earlier engine left. Never rejects. */
  async resume(): Promise<void> {
    try {
      for (const { id } of await this.#list(["waiting"])) void this.#watch(id);
      await this.#forgetOld();
    } catch {
      // Records that cannot be read now are read by the next start; nothing is lost.
    }
  }

  /** Rejects with ApiError in words that a person can act on; nothing is left of it then. */
  async begin(request: SignInRequest): Promise<SignIn> {
    const { vault, records } = this.#deps;
    if ((await this.#list(["waiting"])).length >= MAX_WAITING) {
      const text = `${MAX_WAITING} sign-ins wait for a browser already. Finish or cancel one of them first.`;
      throw new ApiError("rate_limit_error", text);
    }
    await this.#supersede(request);
    const { scopes, client } = request;
    const record: SignInRecord = {
      id: hex(),
      created_at: timestamp(this.#deps),
      state: "waiting",
      vault_id: request.vault_id,
      credential_id: request.credential_id ?? newId("credential"),
      secret_id: hex(),
      renews: request.credential_id !== null,
      mcp_server_url: request.mcp_server_url,
      display_name: request.display_name,
      client: client === null ? null : { client_id: client.client_id, has_secret: client.client_secret !== null },
      authorization_server: null,
      message: null,
      ended_at: null,
    };
    const { id: flow_id, vault_id, credential_id, secret_id, mcp_server_url } = record;
    await signInTable(records).insert(record);
    let flow: OAuthFlow;
    try {
      flow = await vault.beginOAuth({ flow_id, vault_id, credential_id, secret_id, mcp_server_url, scopes, client });
    } catch (error) {
      await this.#drop(record);
      throw error;
    }
    this.#flows.set(flow_id, flow);
    void this.#watch(flow_id);
    return this.#shown(record);
  }

  /** @throws ApiError 404 */
  async get(id: string): Promise<SignIn> {
    return this.#shown(await this.#record(id));
  }

  /** Waits up to `ms` for it to be over. @throws ApiError 404 */
  async wait(id: string, ms: number, signal: AbortSignal): Promise<SignIn> {
    const end = Promise.withResolvers<void>();
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(end.resolve));
    const timer = setTimeout(end.resolve, ms);
    signal.addEventListener("abort", () => end.resolve());
    try {
      // Asked after it has begun to listen: what ends in between is heard.
      const now = await this.get(id);
      if (now.state !== "waiting" || ms === 0) return now;
      await end.promise;
      return await this.get(id);
    } finally {
      clearTimeout(timer);
      waiting.delete(end.resolve);
      if (waiting.size === 0) this.#waiting.delete(id);
    }
  }

  /** Those that wait, and those that failed within the hour; the newest first. */
  async list(): Promise<SignIn[]> {
    const since = new Date(this.#deps.now() - TOLD_MS).toISOString();
    const rows = await this.#list(["waiting", "failed"]);
    return rows
      .filter(({ state, ended_at }) => state === "waiting" || (ended_at ?? "") > since)
      .map((row) => this.#shown(row));
  }

  /** Ends one that waits, or puts away one that is over. @throws ApiError 404 */
  async cancel(id: string): Promise<void> {
    const record = await this.#record(id);
    if (record.state !== "waiting") return signInTable(this.#deps.records).delete(id);
    if (!(await this.#end(id, "cancelled", null))) return;
    // It cannot finish any more: what it would seal has no record, and is removed.
    await this.#deps.vault.cancelOAuth(id).catch(() => undefined);
    await this.#deps.values.remove([record.secret_id]);
  }

  /** Cancels what would renew a credential that is about to go. */
  async cancelOf(credentialId: string): Promise<void> {
    for (const { id, credential_id } of await this.#list(["waiting"])) {
      if (credential_id === credentialId) await this.cancel(id);
    }
  }

  /** A person who asks again for the same has lost the other window: it must not take the place of this one later. */
  async #supersede({ vault_id, mcp_server_url }: SignInRequest): Promise<void> {
    for (const row of await this.#list(["waiting", "failed"])) {
      if (row.vault_id === vault_id && row.mcp_server_url === mcp_server_url) await this.cancel(row.id);
    }
  }

  async #watch(id: string): Promise<void> {
    let wait = AGAIN_MS;
    // At first at once: an engine that was restarted does not know the address for the browser.
    for (let pollMs = 0; ; pollMs = POLL_MS) {
      try {
        const flow = await this.#deps.vault.oauthFlow(id, pollMs).catch(nullWhenUnknown);
        wait = AGAIN_MS;
        if (await this.#heard(id, flow)) return;
        await pause(PAUSE_MS);
      } catch {
        // The broker is away, or the disk is full: both end, and the person's sign-in is not lost by it.
        await pause(wait);
        wait = Math.min(wait * 2, AGAIN_AT_MOST_MS);
      }
    }
  }

  /** True when nothing more will be heard of it. */
  async #heard(id: string, flow: OAuthFlow | null): Promise<boolean> {
    const read = await signInTable(this.#deps.records).get(id);
    if (read === null || read.value.state !== "waiting") {
      this.#over(id);
      return true;
    }
    const { value: record } = read;
    if (flow === null) {
      await this.#fail(record, GONE);
      return true;
    }
    this.#flows.set(id, flow);
    if (flow.state === "waiting") return false;
    if (flow.state === "failed") await this.#fail(record, flow.message);
    else {
      const refusal = await keepCredential(this.#deps, id, flow);
      if (refusal !== null) await this.#fail(record, refusal);
    }
    this.#over(id);
    return true;
  }

  async #fail(record: SignInRecord, message: string): Promise<void> {
    const ended = await this.#end(record.id, "failed", message);
    if (ended) await this.#deps.values.remove([record.secret_id]);
  }

  /** Writes how it ended. False when it had ended already: its value may be a credential's by now. */
  async #end(id: string, state: "failed" | "cancelled", message: string | null): Promise<boolean> {
    const table = signInTable(this.#deps.records);
    const ended = await this.#deps.serial.run(`sign in ${id}`, async () => {
      const read = await table.get(id);
      if (read === null || read.value.state !== "waiting") return false;
      const authorization_server = this.#flows.get(id)?.authorization_server ?? null;
      const ended_at = timestamp(this.#deps);
      await table.replace({ ...read.value, state, message, authorization_server, ended_at }, read.revision);
      return true;
    });
    this.#over(id);
    return ended;
  }

  #over(id: string): void {
    this.#flows.delete(id);
    for (const wake of this.#waiting.get(id) ?? []) wake();
  }

  async #drop({ id, secret_id }: SignInRecord): Promise<void> {
    await signInTable(this.#deps.records).delete(id);
    // A broker that did not answer may have begun all the same.
    await this.#deps.vault.cancelOAuth(id).catch(() => undefined);
    await this.#deps.values.remove([secret_id]);
  }

  async #forgetOld(): Promise<void> {
    const before = new Date(this.#deps.now() - KEPT_MS).toISOString();
    const table = signInTable(this.#deps.records);
    const over = await table.list({ states: ["done", "failed", "cancelled"], created_lt: before, limit: MOST });
    await this.#deps.records.write(over.map(({ id }) => table.deletion(id)));
  }

  #list(states: SignInRecord["state"][]): Promise<SignInRecord[]> {
    return signInTable(this.#deps.records).list({ states, limit: MOST });
  }

  async #record(id: string): Promise<SignInRecord> {
    return (await signInTable(this.#deps.records).get(id))?.value ?? notFound("Sign-in", id);
  }

  #shown(record: SignInRecord): SignIn {
    const { id, state, mcp_server_url, vault_id, credential_id, renews, message, created_at } = record;
    const flow = state === "waiting" ? this.#flows.get(id) : undefined;
    return {
      id,
      type: "connection_sign_in",
      state,
      mcp_server_url,
      vault_id,
      connection_id: renews || state === "done" ? credential_id : null,
      authorization_url: flow?.authorization_url ?? null,
      authorization_server: flow?.authorization_server ?? record.authorization_server,
      message,
      started_at: created_at,
    };
  }
}

function nullWhenUnknown(error: unknown): null {
  if (error instanceof ApiError && error.type === "not_found_error") return null;
  throw error;
}

const hex = (): string => randomBytes(16).toString("hex");

/** Keeps nothing alive: the next engine goes on from the records. */
function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
