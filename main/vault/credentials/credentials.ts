/** Credentials in the broker: sealed when they come in, opened only for as long as they are used. */
import type { HealthCheck } from "../../contract/local_api.ts";
import type { SealRequest, SecretRef, ValidateRequest, ValidationOutcome } from "../../contract/vaults/broker_api.ts";
import type { CredentialRef } from "../../contract/vaults/grants.ts";
import { issuerOf } from "../../contract/vaults/server_url.ts";
import { REGISTRATIONS } from "../oauth/client/registrations.ts";
import type { Redactor } from "../redact.ts";
import { Refusal } from "../refusal.ts";
import type { SealedStore } from "../sealed/sealed_store.ts";
import { type Grant, grantOf, sealedRef, textOf } from "./grant.ts";
import { Tokens } from "./tokens.ts";
import { validateCredential } from "./validation.ts";

export class Credentials {
  readonly #store: SealedStore;
  /** Masks in the log whatever was sealed or opened here. */
  readonly #redactor: Redactor;
  readonly #tokens: Tokens;
  readonly #validating = new Map<string, Promise<ValidationOutcome>>();

  /** @param now milliseconds since the epoch */
  constructor(store: SealedStore, redactor: Redactor, now?: () => number) {
    this.#store = store;
    this.#redactor = redactor;
    this.#tokens = new Tokens(store, redactor, now);
  }

  /** Durable when it resolves. Rejects with Refusal; then nothing was changed. */
  async seal(request: SealRequest): Promise<void> {
    const { auth, secrets, from } = request;
    this.#redactor.learn(Object.values(secrets));
    await this.#store.put(sealedRef(request, issuerOf(auth)), from, (text) => {
      const before = text === null ? null : grantOf(text);
      const origin = before?.origin === undefined ? {} : { origin: before.origin };
      return textOf({ auth, secrets: { ...before?.secrets, ...secrets }, ...origin });
    });
  }

  /** The values of credentials; what the broker seals for itself is not among them. */
  async sealed(): Promise<SecretRef[]> {
    return (await this.#store.list()).filter(({ vault_id }) => vault_id !== REGISTRATIONS);
  }

  /** Masks values in the log that are not sealed yet. */
  mask(values: readonly string[]): void {
    this.#redactor.learn(values);
  }

  /** Rejects with Refusal when nothing could be sealed now. */
  ready(): Promise<void> {
    return this.#store.ready();
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
  open(ref: CredentialRef): Promise<Grant> {
    return this.#tokens.open(sealedRef(ref, ref.issuer));
  }

  /** The token for a request's Bearer header; see {@link Tokens.bearer}. */
  bearer(ref: CredentialRef): Promise<{ token: string }> {
    return this.#tokens.bearer(sealedRef(ref, ref.issuer));
  }

  /** The token in the place of one that a server refused; null when a person must sign in. See {@link Tokens.renewed}. */
  renewed(ref: CredentialRef, refusedToken: string): Promise<{ token: string } | null> {
    return this.#tokens.renewed(sealedRef(ref, ref.issuer), refusedToken);
  }

  /** One at a time per value: whoever asks meanwhile gets the same answer. */
  validate(request: ValidateRequest): Promise<ValidationOutcome> {
    const running = this.#validating.get(request.secret_id);
    if (running !== undefined) return running;
    const mine = validateCredential(sealedRef(request, request.issuer), this.#tokens).finally(() =>
      this.#validating.delete(request.secret_id),
    );
    this.#validating.set(request.secret_id, mine);
    return mine;
  }

  /**
   * Seals what a sign-in gave. Former values of the credential become the same, so that sessions which still hold their
   * ids go on with the new tokens. Durable when it resolves.
   */
  async signedIn(ref: SecretRef, grant: Grant): Promise<void> {
    const { auth, secrets } = grant;
    if (auth.type !== "mcp_oauth" || secrets.access_token === undefined) throw new TypeError("This is no sign-in.");
    this.#redactor.learn(Object.values(secrets));
    const value = sealedRef(ref, issuerOf(auth));
    const text = textOf(grant);
    await this.#store.put(value, null, () => text);
    try {
      await this.#store.rewrite(value, (before) => (before === text ? null : text));
    } catch (error) {
      // A former value that cannot be opened any more stays as it is; the new one counts.
      if (!(error instanceof Refusal)) throw error;
    }
    this.#tokens.signedIn(ref.credential_id, secrets.access_token, auth.expires_at);
  }

  /**
   * The newest value of a credential; null when there is none that can be opened, or it is of another server.
   * @param issuer what it is bound to, see `issuerOf`
   */
  async newest(credentialId: string, issuer: string): Promise<Grant | null> {
    const known = (await this.#store.list()).filter(({ credential_id }) => credential_id === credentialId).at(-1);
    if (known === undefined) return null;
    try {
      return await this.#tokens.open(sealedRef(known, issuer));
    } catch (error) {
      if (error instanceof Refusal) return null;
      throw error;
    }
  }
}
