/**
 * The certificate authority of this install. Only sandboxes that have variables with credentials trust it, and it signs
 * only for hosts whose requests get one. Its key is sealed like a credential and in memory from its first use on; the
 * certificate is public and lies beside, so that sandboxes get it while the keychain is locked.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { chmod, mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { createSecureContext, type SecureContext } from "node:tls";
import { Refusal } from "../../../refusal.ts";
import { BROKERS_OWN, type SealedStore } from "../../../sealed/sealed_store.ts";
import { authorityCertificate, hostCertificate, newKey } from "./certificates.ts";

const NAME = "Longhaul: requests of sandboxes with credentials";
/** Names the one value; binds it to nothing but itself. */
const REF = {
  vault_id: BROKERS_OWN,
  credential_id: "egress_authority",
  secret_id: "00000000000000000000000065677265",
  issuer: "egress",
};

const DAY_MS = 86_400_000;
/** Clocks of containers on other machines may be behind. */
const BACKDATED_MS = DAY_MS;
const AUTHORITY_MS = 730 * DAY_MS;
/** A new certificate is made so long before the former one ends: containers get it at their next provisioning. */
const RENEWED_BEFORE_MS = 90 * DAY_MS;
const HOST_MS = 5 * DAY_MS;
const HOST_RENEWED_BEFORE_MS = DAY_MS;
const MAX_HOSTS = 2_000;

/** Opening fails in these ways for ever: there is nothing to wait for. */
const LOST = new Set(["value_missing", "key_missing"]);

interface Authority {
  key: KeyObject;
  /** PEM. */
  certificate: string;
}

export class EgressAuthority {
  readonly #store: SealedStore;
  readonly #file: string;
  readonly #now: () => number;
  #known: Authority | null = null;
  #loading: Promise<Authority> | null = null;
  /** By host, in the order of their making. */
  readonly #hosts = new Map<string, { context: SecureContext; until: number }>();

  /** Touches neither disk nor keychain before it is used. */
  constructor(store: SealedStore, dataDir: string, now: () => number = Date.now) {
    this.#store = store;
    this.#file = join(dataDir, "vault", "egress_authority.pem");
    this.#now = now;
  }

  /** The authority's certificate in PEM, for sandboxes. Rejects with Refusal when there is none yet and none can be kept. */
  async certificate(): Promise<string> {
    if (this.#known === null) {
      const shown = await readFile(this.#file, "utf8").catch(() => null);
      if (shown !== null && this.#lasts(shown)) return shown;
    }
    return (await this.#authority()).certificate;
  }

  /** What a TLS server shows as this host. Rejects with Refusal when the authority's key cannot be had. */
  async contextFor(host: string): Promise<SecureContext> {
    const authority = await this.#authority();
    const now = this.#now();
    const known = this.#hosts.get(host);
    if (known !== undefined && known.until - HOST_RENEWED_BEFORE_MS > now) return known.context;
    const until = now + HOST_MS;
    const issuer = { name: NAME, key: authority.key };
    const { key, certificate } = await hostCertificate(host, issuer, { from: now - BACKDATED_MS, to: until });
    const context = createSecureContext({
      key: key.export({ type: "pkcs8", format: "pem" }),
      cert: certificate,
      minVersion: "TLSv1.2",
    });
    this.#hosts.delete(host);
    this.#hosts.set(host, { context, until });
    for (const oldest of this.#hosts.keys()) {
      if (this.#hosts.size <= MAX_HOSTS) break;
      this.#hosts.delete(oldest);
    }
    return context;
  }

  #authority(): Promise<Authority> {
    if (this.#known !== null && this.#lasts(this.#known.certificate)) return Promise.resolve(this.#known);
    this.#loading ??= this.#load()
      .then((authority) => {
        this.#known = authority;
        return authority;
      })
      .finally(() => {
        this.#loading = null;
      });
    return this.#loading;
  }

  async #load(): Promise<Authority> {
    const sealed = this.#known ?? (await this.#open());
    if (sealed !== null && this.#lasts(sealed.certificate)) {
      await this.#show(sealed.certificate);
      return sealed;
    }
    // With the key that it had, so that what was signed before stays trusted by sandboxes that get the new certificate.
    const key = sealed?.key ?? newKey();
    const from = this.#now() - BACKDATED_MS;
    const certificate = await authorityCertificate(NAME, key, { from, to: this.#now() + AUTHORITY_MS });
    const value = { key: key.export({ type: "pkcs8", format: "pem" }), certificate };
    await this.#store.put(REF, null, () => JSON.stringify(value));
    await this.#show(certificate);
    this.#hosts.clear();
    return { key, certificate };
  }

  /** Null when there is none, or none that can ever be opened again. Rejects with Refusal when it cannot be opened now. */
  async #open(): Promise<Authority | null> {
    try {
      const { key, certificate } = JSON.parse(await this.#store.open(REF)) as { key: string; certificate: string };
      return { key: createPrivateKey(key), certificate };
    } catch (error) {
      if (error instanceof Refusal && LOST.has(error.code ?? "")) return null;
      throw error;
    }
  }

  async #show(certificate: string): Promise<void> {
    if ((await readFile(this.#file, "utf8").catch(() => "")) === certificate) return;
    const fresh = `${this.#file}.new`;
    try {
      await mkdir(dirname(this.#file), { recursive: true, mode: 0o700 });
      await writeFile(fresh, certificate, { mode: 0o600 });
      await chmod(fresh, 0o600);
      await rename(fresh, this.#file);
    } catch {
      // A copy for convenience: whoever asks is answered from the sealed one.
    }
  }

  #lasts(certificate: string): boolean {
    try {
      return Date.parse(new X509Certificate(certificate).validTo) - RENEWED_BEFORE_MS > this.#now();
    } catch {
      return false;
    }
  }
}
