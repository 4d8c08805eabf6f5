/** All sign-ins of this broker: begun by the engine, finished by a person's browser, sealed under the id that the engine chose. */
import type { OAuthBegin, OAuthFlow } from "../../contract/vaults/oauth.ts";
import type { Credentials } from "../credentials/credentials.ts";
import type { BrokerLog } from "../log.ts";
import { Refusal } from "../refusal.ts";
import type { Challenges } from "./challenges.ts";
import type { Registrations } from "./client/registrations.ts";
import type { ResolveName } from "./discovery/reach.ts";
import { Flow } from "./flow.ts";
import { RedirectListener } from "./redirect/listener.ts";
import { prepare, RedeemFailure, redeem } from "./sign_in.ts";
import { StepUps } from "./step_ups.ts";

export interface SignInOptions {
  /** URL of a client ID metadata document that describes Longhaul; null when nobody publishes one. */
  clientMetadataUrl?: string | null;
  /** Tried first for the way back from the browser; 0 for any. */
  redirectPort?: number;
  /** Milliseconds that a person has in the browser. */
  personMs?: number;
  /** For tests: another internet. */
  resolve?: ResolveName;
}

/** The address that a person has set for a document about Longhaul; null for none, or one that cannot be a client ID. */
export function clientMetadataUrl(text = process.env.LONGHAUL_CLIENT_METADATA_URL ?? ""): string | null {
  const url = URL.parse(text);
  return url?.protocol === "https:" && url.pathname !== "/" && url.username === "" && url.hash === "" ? text : null;
}

interface Entry {
  /** Rejects when there is no sign-in to be had. */
  ready: Promise<Flow> | null;
  /** Null while it is prepared. */
  flow: Flow | null;
  /** Ends what is under way. */
  left: AbortController;
}

const PERSON_MS = 600_000;
/** Of everything before the browser. */
const PREPARE_MS = 40_000;
const SHORTEST_CODE = 16;
const REDEEM_MS = 30_000;
/** Milliseconds for which the outcome can be fetched. */
const KEEP_MS = 600_000;
const MAX_WAITING = 32;

export class SignIns {
  readonly #credentials: Credentials;
  readonly #registrations: Registrations;
  readonly #challenges: Challenges;
  readonly #log: BrokerLog;
  readonly #options: SignInOptions;
  readonly #listener: RedirectListener;
  readonly #stepUps = new StepUps();
  readonly #flows = new Map<string, Entry>();

  constructor(
    credentials: Credentials,
    registrations: Registrations,
    challenges: Challenges,
    log: BrokerLog,
    options: SignInOptions = {},
  ) {
    this.#credentials = credentials;
    this.#registrations = registrations;
    this.#challenges = challenges;
    this.#log = log;
    this.#options = options;
    this.#listener = new RedirectListener(options.redirectPort);
  }

  /**
   * Finds the authorization server and prepares the page for the person's browser; takes at most about 40 s. The same
   * `flow_id` again gives the same sign-in. Rejects with {@link Refusal}; then nothing was changed.
   */
  async begin(begin: OAuthBegin): Promise<OAuthFlow> {
    const known = this.#flows.get(begin.flow_id);
    if (known?.ready != null) return (await known.ready).view();
    const waiting = [...this.#flows.values()].filter(({ flow }) => flow === null || flow.waiting);
    if (waiting.length >= MAX_WAITING) {
      const text = `There are ${MAX_WAITING} sign-ins waiting for a browser. Finish or cancel some, then start again.`;
      throw new Refusal(429, "rate_limit_error", text);
    }
    const entry: Entry = { ready: null, flow: null, left: new AbortController() };
    this.#flows.set(begin.flow_id, entry);
    entry.ready = this.#begin(begin, entry);
    try {
      return (await entry.ready).view();
    } catch (error) {
      if (this.#flows.get(begin.flow_id) === entry) this.#flows.delete(begin.flow_id);
      throw error;
    }
  }

  /** @param waitMs how long to wait for an outcome. Rejects with {@link Refusal} 404 `sign_in_unknown`. */
  async read(flowId: string, waitMs: number, signal: AbortSignal): Promise<OAuthFlow> {
    const flow = await this.#flow(flowId);
    await flow.settled(waitMs, signal);
    return flow.view();
  }

  /** Ends a sign-in; what the browser brings later is not used. Unknown ids are no error. */
  cancel(flowId: string): void {
    const entry = this.#flows.get(flowId);
    if (entry === undefined) return;
    this.#flows.delete(flowId);
    entry.left.abort();
    if (entry.flow !== null) this.#give(entry.flow, "The sign-in was cancelled. Nothing was changed.");
  }

  close(): void {
    for (const { left } of this.#flows.values()) left.abort();
    this.#listener.close();
  }

  async #flow(flowId: string): Promise<Flow> {
    const entry = this.#flows.get(flowId);
    if (entry?.ready != null) return entry.ready;
    const text = "This sign-in is not known: it is long over, or the credential broker was restarted. Start it again.";
    throw new Refusal(404, "not_found_error", text, "sign_in_unknown");
  }

  async #begin(begin: OAuthBegin, entry: Entry): Promise<Flow> {
    const { left } = entry;
    if (begin.client?.client_secret != null) this.#credentials.mask([begin.client.client_secret]);
    // A person who has signed in must not learn only then that the tokens can be kept nowhere.
    await this.#credentials.ready();
    const before = await this.#credentials.newest(begin.credential_id, begin.mcp_server_url);
    const challenge = this.#challenges.last(begin.mcp_server_url);
    const origin = await this.#listener.hold();
    try {
      const signal = AbortSignal.any([left.signal, AbortSignal.timeout(PREPARE_MS)]);
      const { clientMetadataUrl = null, resolve } = this.#options;
      const registrations = this.#registrations;
      const context = { registrations, clientMetadataUrl, origin, challenge, before, resolve, signal };
      const signIn = await prepare(begin, context);
      if (begin.scopes === null) this.#stepUps.check(begin.credential_id, challenge, before, signIn);
      left.signal.throwIfAborted();
      const flow = new Flow(begin, signIn, left);
      this.#replaceFormer(begin);
      entry.flow = flow;
      this.#await(flow);
      return flow;
    } catch (error) {
      this.#listener.release();
      if (!left.signal.aborted) throw error;
      throw new Refusal(409, "conflict_error", "The sign-in was cancelled while it was prepared. Nothing was changed.");
    }
  }

  /** Two pages for one credential would leave it to chance which of the answers is kept. */
  #replaceFormer({ credential_id }: OAuthBegin): void {
    for (const { flow } of this.#flows.values()) {
      if (flow === null || !flow.waiting || flow.begin.credential_id !== credential_id) continue;
      this.#give(flow, "Another sign-in for this connection was begun. Finish that one.");
    }
  }

  #await(flow: Flow): void {
    const { client, state, codeVerifier } = flow.signIn;
    this.#credentials.mask([codeVerifier]);
    const { personMs = PERSON_MS } = this.#options;
    flow.late = setTimeout(() => {
      const minutes = Math.max(1, Math.round(personMs / 60_000));
      this.#give(flow, `Nobody signed in within ${minutes} min. Nothing was changed. Start again.`);
    }, personMs);
    flow.late.unref();
    this.#listener.expect(state, new URL(client.redirect_uri).pathname, async (parameters) => {
      flow.returned = true;
      // Shorter than any real one it could be a word, which would be masked everywhere from then on.
      this.#credentials.mask(parameters.getAll("code").filter((code) => code.length >= SHORTEST_CODE));
      clearTimeout(flow.late);
      return this.#finish(flow, parameters);
    });
    this.#log.info(hostsOf(flow), "a sign-in waits for a person's browser");
  }

  /** Ends a sign-in whose browser did not come back. */
  #give(flow: Flow, message: string): void {
    if (!this.#settle(flow, { state: "failed", message })) return;
    flow.left.abort();
    const { client, server } = flow.signIn;
    // A server that has forgotten the client shows that in the browser alone; the next sign-in registers anew.
    if (client.registered && !flow.returned) this.#registrations.forget(server.issuer).catch(() => undefined);
  }

  async #finish(flow: Flow, parameters: URLSearchParams): Promise<boolean> {
    const { begin, signIn } = flow;
    try {
      const signal = AbortSignal.any([flow.left.signal, AbortSignal.timeout(REDEEM_MS)]);
      const { grant, granted } = await redeem(begin, signIn, parameters, signal);
      if (!flow.waiting) return false;
      await this.#credentials.signedIn(begin, grant);
      this.#challenges.answered(begin.mcp_server_url);
      this.#log.info(hostsOf(flow), "a sign-in is done");
      return this.#settle(flow, { state: "done", auth: grant.auth, scopes: granted });
    } catch (error) {
      const known = error instanceof Refusal;
      this.#log.warn({ ...hostsOf(flow), err: known ? error.message : error }, "a sign-in failed");
      if (error instanceof RedeemFailure && error.error === "invalid_client" && signIn.client.registered) {
        await this.#registrations.forget(signIn.server.issuer).catch(() => undefined);
      }
      const message = known
        ? error.message
        : "The sign-in failed inside the broker; its log says why. Nothing was changed. Start again.";
      this.#settle(flow, { state: "failed", message });
      return false;
    }
  }

  #settle(flow: Flow, outcome: Parameters<Flow["settle"]>[0]): boolean {
    if (!flow.settle(outcome)) return false;
    clearTimeout(flow.late);
    this.#listener.dismiss(flow.signIn.state);
    this.#listener.release();
    const { flow_id } = flow.begin;
    const mine = this.#flows.get(flow_id);
    setTimeout(() => this.#flows.get(flow_id) === mine && this.#flows.delete(flow_id), KEEP_MS).unref();
    return true;
  }
}

function hostsOf({ begin, signIn }: Flow): { server: string; authorization_server: string } {
  return { server: new URL(begin.mcp_server_url).host, authorization_server: new URL(signIn.server.issuer).host };
}
