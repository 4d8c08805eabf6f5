/**
 * What authorization servers gave Longhaul when it registered (RFC 7591), sealed like credentials, one per server. A
 * registration of one server is never shown to another: it is bound to the issuer that it was made with.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { Refusal } from "../../refusal.ts";
import type { SealedStore, SealedValue } from "../../sealed/sealed_store.ts";

const shape = z.object({
  redirect_uri: z.string(),
  /** That were named at the registration: some servers give the client no others. */
  scopes: z.array(z.string()),
  client_id: z.string(),
  client_secret: z.string().nullable(),
  /** As the server chose it; null when it did not say. */
  method: z.string().nullable(),
  /** Milliseconds since the epoch; null for a secret that does not expire. */
  expires_at: z.number().nullable(),
});

export type Registration = z.output<typeof shape>;

/** In the place of a vault's id; the engine does not know these values and must not sweep them away. */
export const REGISTRATIONS = "oauth_registrations";

export class Registrations {
  readonly #store: SealedStore;
  readonly #learn: (secrets: readonly string[]) => void;

  /** @param learn masks values in the log from then on */
  constructor(store: SealedStore, learn: (secrets: readonly string[]) => void) {
    this.#store = store;
    this.#learn = learn;
  }

  /** The registration with this server when it fits; null when a new one is needed. @param now milliseconds */
  async find(
    issuer: string,
    redirectUri: string,
    scopes: readonly string[],
    now: number,
  ): Promise<Registration | null> {
    const known = await this.#open(issuer);
    if (known === null || known.redirect_uri !== redirectUri) return null;
    if (known.expires_at !== null && known.expires_at <= now) return null;
    return scopes.every((scope) => known.scopes.includes(scope)) ? known : null;
  }

  /** Takes the place of a former one. Durable when it resolves. */
  keep(issuer: string, registration: Registration): Promise<void> {
    if (registration.client_secret !== null) this.#learn([registration.client_secret]);
    return this.#store.put(refOf(issuer), null, () => JSON.stringify(registration));
  }

  /** For a server that does not know it any more. */
  forget(issuer: string): Promise<void> {
    return this.#store.purge([refOf(issuer).secret_id]);
  }

  async #open(issuer: string): Promise<Registration | null> {
    try {
      const result = shape.safeParse(JSON.parse(await this.#store.open(refOf(issuer))));
      if (result.data?.client_secret != null) this.#learn([result.data.client_secret]);
      return result.data ?? null;
    } catch (error) {
      if (error instanceof Refusal && (error.code === "value_missing" || error.code === "key_missing")) return null;
      throw error;
    }
  }
}

function refOf(issuer: string): SealedValue {
  const secret_id = createHash("sha256").update(issuer).digest("hex").slice(0, 32);
  return { vault_id: REGISTRATIONS, credential_id: `registration_${secret_id}`, secret_id, issuer };
}
