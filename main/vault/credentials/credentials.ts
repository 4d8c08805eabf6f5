/** The credentials that the broker keeps: sealed on disk, open only here and only for as long as they are used. */
import { z } from "zod";
import type { HealthCheck } from "../../contract/local_api.ts";
import type { CredentialAuth, CredentialSecrets } from "../../contract/vaults/auth.ts";
import type { SealRequest, SecretRef, ValidateRequest, ValidationOutcome } from "../../contract/vaults/broker_api.ts";
import type { CredentialRef } from "../../contract/vaults/grants.ts";
import { issuerOf } from "../../contract/vaults/server_url.ts";
import { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import type { SealedStore, SealedValue } from "../sealed/sealed_store.ts";
import { probeServer } from "./mcp_probe.ts";
import { type FreshTokens, refreshTokens } from "./token_refresh.ts";

/** Of a whole validation; the engine waits a little longer. */
const VALIDATE_MS = 30_000;

/** What is sealed. The shown half is in it too, so that this process follows its own copy and nobody else's word. */
export interface Grant {
  auth: CredentialAuth;
  secrets: CredentialSecrets;
}

const grantShape = z.object({
  auth: z.looseObject({ type: z.enum(["mcp_oauth", "static_bearer", "environment_variable"]) }),
  secrets: z.record(z.string(), z.string()),
});

export class Credentials {
  readonly #store: SealedStore;
  /** Masks in the log whatever was sealed or opened here. */
  readonly #redactor: Redactor;
  readonly #validating = new Map<string, Promise<ValidationOutcome>>();

  constructor(store: SealedStore, redactor: Redactor) {
    this.#store = store;
    this.#redactor = redactor;
  }

  /** Durable when it resolves. Rejects with Refusal; then nothing was changed. */
  async seal(request: SealRequest): Promise<void> {
    const { auth, secrets, from } = request;
    this.#redactor.learn(Object.values(secrets));
    await this.#store.put(refOf(request, issuerOf(auth)), from, (before) => {
      const kept = before === null ? {} : grantOf(before).secrets;
      return JSON.stringify({ auth, secrets: { ...kept, ...secrets } } satisfies Grant);
    });
  }

  sealed(): Promise<SecretRef[]> {
    return this.#store.list();
  }

  purge(secretIds: readonly string[]): Promise<void> {
    return this.#store.purge(secretIds);
  }

  status(): Promise<HealthCheck> {
    return this.#store.status();
  }

  /**
   * A credential for use inside this process, never for an answer; its values are masked in the log from now on.
   * Rejects with Refusal when it is gone, bound to something else, or the keychain is locked.
   */
  async open(ref: CredentialRef): Promise<Grant> {
    const grant = grantOf(await this.#store.open(ref));
    this.#redactor.learn(Object.values(grant.secrets));
    return grant;
  }

  /** One at a time per value: whoever asks meanwhile gets the same answer, so that a refresh token is used once. */
  validate(request: ValidateRequest): Promise<ValidationOutcome> {
    const running = this.#validating.get(request.secret_id);
    if (running !== undefined) return running;
    const mine = this.#validate(request).finally(() => this.#validating.delete(request.secret_id));
    this.#validating.set(request.secret_id, mine);
    return mine;
  }

  async #validate(request: ValidateRequest): Promise<ValidationOutcome> {
    const ref = refOf(request, request.issuer);
    const grant = grantOf(await this.#store.open(ref));
    const { auth, secrets } = grant;
    this.#redactor.learn(Object.values(secrets));
    if (auth.type !== "mcp_oauth") {
      throw new Refusal(400, "invalid_request_error", "Only mcp_oauth credentials can be validated.");
    }
    if (secrets.access_token === undefined) return { status: "invalid", mcp_probe: null, refresh: null };
    const signal = AbortSignal.timeout(VALIDATE_MS);
    const redactor = new Redactor(Object.values(secrets));
    const first = await probeServer(auth.mcp_server_url, secrets.access_token, redactor, signal);
    if (first.verdict === "accepted") return { status: "valid", mcp_probe: null, refresh: null };
    if (first.verdict === "forbidden") return { status: "invalid", mcp_probe: first.probe, refresh: null };
    if (first.verdict === "unclear") return { status: "unknown", mcp_probe: first.probe, refresh: null };
    if (auth.refresh == null || secrets.refresh_token === undefined) {
      const refresh = { status: "no_refresh_token" as const, http_response: null };
      return { status: "invalid", mcp_probe: first.probe, refresh };
    }
    const used = { ...secrets, refresh_token: secrets.refresh_token };
    // Many servers take a refresh token once: sealing the value anew shows that its successor can be kept.
    await this.#store.rewrite(ref, (text) => text);
    const { outcome, tokens } = await refreshTokens(auth.refresh, used, signal, Date.now());
    if (tokens === null) {
      // A token endpoint that is away or busy says nothing about the credential.
      const code = outcome.http_response?.status_code ?? 0;
      const rejected = outcome.status === "failed" && code < 500 && code !== 429;
      return { status: rejected ? "invalid" : "unknown", mcp_probe: first.probe, refresh: outcome };
    }
    this.#redactor.learn(Object.values(tokens).filter((value) => value !== null));
    await this.#keep(ref, used, tokens);
    redactor.learn([tokens.access_token, tokens.refresh_token ?? ""]);
    const again = await probeServer(auth.mcp_server_url, tokens.access_token, redactor, signal);
    const refreshed = { expires_at: tokens.expires_at };
    if (again.verdict === "accepted") return { status: "valid", mcp_probe: null, refresh: outcome, refreshed };
    const status = again.verdict === "unclear" ? "unknown" : "invalid";
    return { status, mcp_probe: again.probe, refresh: outcome, refreshed };
  }

  /**
   * Keeps the new tokens wherever the used refresh token is: an update of the credential may have copied it while the
   * refresh was under way, and many servers take a refresh token only once.
   */
  #keep(ref: SealedValue, used: { refresh_token: string } & CredentialSecrets, tokens: FreshTokens): Promise<void> {
    return this.#store.rewrite(ref, (text) => {
      const { auth, secrets } = grantOf(text);
      if (secrets.refresh_token !== used.refresh_token) return null;
      const next = { ...secrets, refresh_token: tokens.refresh_token ?? used.refresh_token };
      // An access token that a person has set meanwhile is newer than this one.
      if (secrets.access_token === used.access_token) next.access_token = tokens.access_token;
      return JSON.stringify({ auth, secrets: next } satisfies Grant);
    });
  }
}

function refOf({ vault_id, credential_id, secret_id }: SecretRef, issuer: string): SealedValue {
  return { vault_id, credential_id, secret_id, issuer };
}

/** What was sealed passed authentication, so another shape can only come from another version of this program. */
function grantOf(text: string): Grant {
  const result = grantShape.safeParse(JSON.parse(text));
  if (result.success) return result.data as unknown as Grant;
  const message =
    "This credential was sealed by another version of Longhaul. Nothing was changed. Use that version, or archive it and create it again.";
  throw new Refusal(400, "invalid_request_error", message, "store_unreadable");
}
