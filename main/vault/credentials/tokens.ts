/**
 * Tokens as requests need them: refreshed ahead of their expiry, and once for all sessions that share a credential. Many
 * servers take a refresh token a single time and revoke everything when they see it again, so that at most one refresh of
 * a credential is under way, and its result is stored before anyone gets it.
 */
import type { BetaManagedAgentsRefreshObject } from "@anthropic-ai/sdk/resources/beta/vaults/credentials";
import type { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import type { SealedStore, SealedValue } from "../sealed/sealed_store.ts";
import { type Grant, grantOf, textOf } from "./grant.ts";
import { type FreshTokens, refreshTokens, type TokenResult } from "./token_endpoint.ts";
import { TokenTimes } from "./token_times.ts";

export interface Renewal {
  /**
   * `fresh`: a token that was given later than the refused one is stored now; a few servers repeat a token. `refused`: the authorization server does not give one, a
   * person must sign in. `away`: it could not be asked; later it may.
   */
  state: "fresh" | "refused" | "away";
  /** As stored now. */
  grant: Grant;
  /** Of the refresh; null when none was needed or the server had refused this refresh token before. */
  outcome: BetaManagedAgentsRefreshObject | null;
}

/** One refresh. */
interface Flight {
  state: "refused" | "away" | "done";
  /** The refresh token that was sent; null when the access token had been replaced meanwhile and nothing was sent. */
  used: string | null;
  /** The access token that came. */
  given: string | null;
  outcome: Renewal["outcome"];
}

const REFRESH_MS = 20_000;

/** Errors by which a server says that this client or this refresh token gets no more tokens. */
const FINAL =
  /^(invalid_grant|invalid_client|unauthorized_client|invalid_scope|invalid_target|invalid_request|unsupported_grant_type|access_denied)$/;

export class Tokens {
  readonly #store: SealedStore;
  readonly #redactor: Redactor;
  readonly #times: TokenTimes;
  /** By credential, not by value: an update of a credential copies its refresh token. */
  readonly #flights = new Map<string, Promise<Flight>>();
  /** Tokens that were given and could not be stored, by credential; the refresh token they replace may be spent. */
  readonly #unkept = new Map<string, () => Promise<void>>();

  /** @param now milliseconds since the epoch */
  constructor(store: SealedStore, redactor: Redactor, now: () => number = Date.now) {
    this.#store = store;
    this.#redactor = redactor;
    this.#times = new TokenTimes(now);
  }

  /** Rejects with Refusal: gone, bound to something else, or the keychain is locked. */
  async open(ref: SealedValue): Promise<Grant> {
    const grant = grantOf(await this.#store.open(ref));
    this.#redactor.learn(Object.values(grant.secrets));
    return grant;
  }

  /**
   * The token for a request. Rejects with Refusal: `sign_in_needed` when only a person can get another one,
   * `endpoint_unreachable` when the authorization server is away and the token has expired.
   */
  async bearer(ref: SealedValue): Promise<{ token: string }> {
    const grant = await this.open(ref);
    const token = tokenOf(grant);
    if (token === null) throw signInNeeded(grant);
    const { auth, secrets } = grant;
    const refreshable = auth.type === "mcp_oauth" && auth.refresh != null && secrets.refresh_token !== undefined;
    // Without a refresh token only the server can tell whether an old token still does.
    if (!refreshable || !this.#times.isDue(ref.credential_id, token, auth.expires_at)) return { token };
    try {
      const renewal = await this.renew(ref, token);
      const fresh = renewal.state === "fresh" ? tokenOf(renewal.grant) : null;
      if (fresh !== null) return { token: fresh };
      throw renewal.state === "away" ? away(grant) : signInNeeded(grant);
    } catch (error) {
      if (error instanceof Refusal && this.#times.isAlive(auth.expires_at)) return { token };
      throw error;
    }
  }

  /**
   * After a server answered 401 to `refused`: the token in its place, from the store when there is one already. Null when
   * a person must sign in. Rejects with Refusal `endpoint_unreachable` when the authorization server cannot be asked.
   */
  async renewed(ref: SealedValue, refused: string): Promise<{ token: string } | null> {
    const grant = await this.open(ref);
    const token = tokenOf(grant);
    if (token === null) return null;
    if (token !== refused) return { token };
    if (grant.auth.type !== "mcp_oauth") return null;
    // A server that refuses what it was just given would refuse the next one too, at one refresh per request.
    if (this.#times.isNew(ref.credential_id, token)) return null;
    const renewal = await this.renew(ref, refused);
    if (renewal.state === "away") throw away(renewal.grant);
    const fresh = renewal.state === "fresh" ? tokenOf(renewal.grant) : null;
    return fresh === null || fresh === refused ? null : { token: fresh };
  }

  /**
   * Refreshes unless the stored token is another one than `used`, or joins the refresh that is under way.
   * @param again asks a server, too, that refused this refresh token lately
   */
  async renew(ref: SealedValue, used: string, again = false): Promise<Renewal> {
    const id = ref.credential_id;
    let last: Flight | null = null;
    // A joined flight may have been for another value of the credential; more than one such is not expected.
    for (let round = 0; round < 4; round++) {
      const grant = await this.open(ref);
      const outcome: Renewal["outcome"] = last?.outcome ?? null;
      const token = tokenOf(grant);
      if (token !== used || (last !== null && token === last.given)) return { state: "fresh", grant, outcome };
      const refresh = grant.auth.type === "mcp_oauth" ? (grant.secrets.refresh_token ?? null) : null;
      if (refresh === null || (grant.auth.type === "mcp_oauth" && grant.auth.refresh == null)) {
        return { state: "refused", grant, outcome: { status: "no_refresh_token", http_response: null } };
      }
      if (last !== null && last.used === refresh && last.state !== "done") return { state: last.state, grant, outcome };
      if (!again && this.#times.wasRefused(id, refresh)) return { state: "refused", grant, outcome: null };
      last = await (this.#flights.get(id) ?? this.#start(ref, used));
    }
    throw away(await this.open(ref));
  }

  /** Tokens of a sign-in were stored. */
  signedIn(credentialId: string, token: string, expiresAt: string | null | undefined): void {
    this.#unkept.delete(credentialId);
    this.#times.got(credentialId, token, expiresAt ?? null);
  }

  #start(ref: SealedValue, used: string): Promise<Flight> {
    const id = ref.credential_id;
    const flight = this.#refresh(ref, used).finally(() => this.#flights.delete(id));
    this.#flights.set(id, flight);
    return flight;
  }

  async #refresh(ref: SealedValue, used: string): Promise<Flight> {
    const id = ref.credential_id;
    await this.#unkept.get(id)?.();
    this.#unkept.delete(id);
    // Read within the flight: what the caller saw may be from before the last one's end.
    const { auth, secrets } = await this.open(ref);
    const { access_token, refresh_token } = secrets;
    if (auth.type !== "mcp_oauth" || auth.refresh == null || access_token !== used || refresh_token === undefined) {
      return { state: "done", used: null, given: null, outcome: null };
    }
    // Sealing the value anew shows that what follows can be kept; a full disk must not cost the refresh token.
    await this.#store.rewrite(ref, (text) => text);
    const sent = { ...secrets, refresh_token };
    const result = await refreshTokens(auth.refresh, sent, AbortSignal.timeout(REFRESH_MS), this.#times.now());
    const { outcome, tokens } = result;
    if (tokens === null) {
      const state = isFinal(result) ? "refused" : "away";
      if (state === "refused") this.#times.refused(id, refresh_token);
      return { state, used: refresh_token, given: null, outcome };
    }
    this.#redactor.learn([tokens.access_token, tokens.refresh_token ?? ""]);
    const keep = (): Promise<void> => this.#keep(ref, { access_token: used, refresh_token }, tokens);
    this.#unkept.set(id, keep);
    await keep();
    this.#unkept.delete(id);
    this.#times.got(id, tokens.access_token, tokens.expires_at);
    return { state: "done", used: refresh_token, given: tokens.access_token, outcome };
  }

  /** Keeps the new tokens wherever the used refresh token is: an update of the credential may have copied it meanwhile. */
  #keep(ref: SealedValue, used: { access_token: string; refresh_token: string }, tokens: FreshTokens): Promise<void> {
    return this.#store.rewrite(ref, (text) => {
      const grant = grantOf(text);
      const { auth, secrets } = grant;
      if (secrets.refresh_token !== used.refresh_token) return null;
      const next = { ...secrets, refresh_token: tokens.refresh_token ?? used.refresh_token };
      // An access token that a person has set meanwhile is newer than this one.
      if (secrets.access_token !== used.access_token) return textOf({ ...grant, secrets: next });
      next.access_token = tokens.access_token;
      const shown = auth.type === "mcp_oauth" ? { ...auth, expires_at: tokens.expires_at } : auth;
      return textOf({ ...grant, auth: shown, secrets: next });
    });
  }
}

/** What a Bearer header takes; null when there is nothing. @throws Refusal for a credential that is for no header */
function tokenOf({ auth, secrets }: Grant): string | null {
  if (auth.type === "environment_variable") {
    throw new Refusal(
      400,
      "invalid_request_error",
      "The value of an environment variable is not a token for a server.",
    );
  }
  return (auth.type === "static_bearer" ? secrets.token : secrets.access_token) ?? null;
}

/** True when the server judged the refresh token or the client; a page of a proxy or a broken server says nothing of them. */
function isFinal({ error, outcome }: TokenResult): boolean {
  const status = outcome.http_response?.status_code ?? 0;
  return error !== null && FINAL.test(error) && status < 500 && status !== 429;
}

function signInNeeded(grant: Grant): Refusal {
  const text = `${serverOf(grant)} takes this credential no longer, so nothing was sent. Sign in to it again.`;
  return new Refusal(403, "permission_error", text, "sign_in_needed");
}

function away(grant: Grant): Refusal {
  const text = `The token for ${serverOf(grant)} has to be refreshed, and its authorization server gives no answer that can be used. Nothing was sent and nothing is lost. Try again when it can be reached.`;
  return new Refusal(502, "api_error", text, "endpoint_unreachable");
}

const serverOf = ({ auth }: Grant): string =>
  auth.type === "environment_variable" ? auth.secret_name : new URL(auth.mcp_server_url).host;
