/**
 * The model endpoint that counts now: the environment's, else the one a person entered, else the offline demo. It changes
 * while the broker runs, and its key may be out of reach for a while.
 */
import type { ModelEndpoint } from "../../contract/process.ts";
import type { ModelChange, ModelCredential, ModelSettings } from "../../contract/vaults/settings.ts";
import { Refusal } from "../refusal.ts";
import { modelWords, Upstream, type UpstreamTimeouts } from "../relay/upstream.ts";
import type { ModelSetting } from "../sealed/sealed_file.ts";
import type { SealedStore } from "../sealed/sealed_store.ts";
import { DEFAULT_BASE_URL, type Endpoint, NAMES, resolveEndpoint } from "./endpoint.ts";

export interface ActiveEndpoint {
  endpoint: Endpoint;
  /** null unless the endpoint is a remote one. */
  upstream: Upstream | null;
}

/** What can be said of the endpoint without its credential. */
export interface EndpointView {
  endpoint: Endpoint;
  credential: ModelSettings["credential"];
  base_url: string | null;
  /** Why it cannot be used, as far as that is known without asking the keychain; null when nothing is known. */
  trouble: Refusal | null;
}

export interface EndpointOptions {
  /** The endpoint of the boot message. */
  environment: ModelEndpoint;
  store: Pick<SealedStore, "model" | "openModel" | "setModel">;
  timeouts: UpstreamTimeouts;
  /** Told each secret before it is used for the first time. */
  learn: (secrets: readonly string[]) => void;
  /** Told when another endpoint took the place of the one in use. */
  onChange: () => void;
  /** How long an opened key stays in memory. */
  keepMs?: number;
}

/** As long as the master key: a keychain that its owner locks is respected two minutes later at the latest. */
const KEEP_MS = 60_000;
const DEMO: ActiveEndpoint = { endpoint: { kind: "demo" }, upstream: null };

export class ModelEndpoints {
  readonly #options: EndpointOptions;
  /** Null when the environment names none. */
  readonly #fixed: ActiveEndpoint | null;
  /** Undefined before the file was read. This process alone writes it. */
  #setting: ModelSetting | null | undefined;
  /** With the key; null before it was opened, and when it was held long enough. */
  #open: Endpoint | null = null;
  #opening: Promise<Endpoint> | null = null;
  /** The connections of the vault's endpoint: they outlive the key in memory. */
  #upstream: Upstream | null = null;
  #trouble: Refusal | null = null;
  /** Counts changes: a key that was opened before the last one is not the one that counts. */
  #change = 0;

  constructor(options: EndpointOptions) {
    this.#options = options;
    const endpoint = resolveEndpoint(options.environment);
    this.#fixed = endpoint.kind === "demo" ? null : { endpoint, upstream: upstreamOf(endpoint, options.timeouts) };
  }

  /** The endpoint for one request. Rejects with Refusal when its key cannot be had: nothing is sent without it. */
  async current(): Promise<ActiveEndpoint> {
    if (this.#fixed !== null) return this.#fixed;
    for (;;) {
      const change = this.#change;
      const setting = await this.#read();
      if (setting === null) return DEMO;
      const endpoint = this.#open ?? (await this.#once(setting));
      if (change !== this.#change) continue;
      this.#upstream ??= upstreamOf(endpoint, this.#options.timeouts);
      return { endpoint, upstream: this.#upstream };
    }
  }

  /** Rejects with Refusal when the file of sealed values cannot be read. */
  async view(): Promise<EndpointView> {
    if (this.#fixed !== null) {
      const { endpoint } = this.#fixed;
      if (endpoint.kind !== "remote") return { endpoint, credential: null, base_url: null, trouble: null };
      const base_url = endpoint.origin.origin + endpoint.prefix;
      return { endpoint, credential: credentialOf(endpoint.credentials), base_url, trouble: null };
    }
    const setting = await this.#read();
    if (setting === null) return { endpoint: DEMO.endpoint, credential: null, base_url: null, trouble: null };
    const { base_url, credential } = setting;
    return { endpoint: shown(setting), credential, base_url, trouble: this.#trouble };
  }

  /** What is kept in the vault, in use or not. Rejects like {@link view}. */
  async kept(): Promise<ModelSettings["vault"]> {
    const setting = await this.#read();
    return setting === null ? null : { ...setting, host: new URL(setting.base_url).host };
  }

  /** Durable and in use when it resolves. Rejects with Refusal; then nothing was changed. */
  async set(change: ModelChange): Promise<void> {
    const { setting, text } = settingOf(change);
    if (text !== null) this.#options.learn([text]);
    await this.#options.store.setModel(setting, text);
    this.#replace(setting);
    this.#hold(endpointOf(setting, text));
  }

  async clear(): Promise<void> {
    await this.#options.store.setModel(null, null);
    this.#replace(null);
  }

  dropConnections(): void {
    this.#fixed?.upstream?.dropConnections();
    this.#upstream?.dropConnections();
  }

  close(): void {
    this.#fixed?.upstream?.close();
    this.#upstream?.close();
  }

  async #read(): Promise<ModelSetting | null> {
    if (this.#setting !== undefined) return this.#setting;
    const change = this.#change;
    const setting = await this.#options.store.model();
    if (change === this.#change) this.#setting = setting;
    return this.#setting ?? null;
  }

  /** Asks once for all requests that wait. */
  #once(setting: ModelSetting): Promise<Endpoint> {
    this.#opening ??= this.#unseal(setting).finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  async #unseal(setting: ModelSetting): Promise<Endpoint> {
    const change = this.#change;
    try {
      const text = setting.credential === null ? null : await this.#options.store.openModel(setting);
      if (text !== null) this.#options.learn([text]);
      const endpoint = endpointOf(setting, text);
      if (change === this.#change) this.#hold(endpoint);
      return endpoint;
    } catch (error) {
      if (change === this.#change && error instanceof Refusal) this.#trouble = error;
      throw error;
    }
  }

  #hold(endpoint: Endpoint): void {
    this.#open = endpoint;
    this.#trouble = null;
    setTimeout(() => {
      if (this.#open === endpoint) this.#open = null;
    }, this.#options.keepMs ?? KEEP_MS).unref();
  }

  #replace(setting: ModelSetting | null): void {
    this.#change += 1;
    this.#setting = setting;
    this.#open = null;
    this.#trouble = null;
    this.#upstream?.retire();
    this.#upstream = null;
    if (this.#fixed === null) this.#options.onChange();
  }
}

function credentialOf({ authorization, "x-api-key": key }: Record<string, string>): EndpointView["credential"] {
  if (key !== undefined) return authorization === undefined ? "api_key" : "api_key_and_auth_token";
  return authorization === undefined ? null : "auth_token";
}

function upstreamOf(endpoint: Endpoint, timeouts: UpstreamTimeouts): Upstream | null {
  if (endpoint.kind !== "remote") return null;
  return new Upstream(endpoint.origin, timeouts, { words: modelWords(NAMES[endpoint.source].base_url) });
}

/** Throws Refusal for what cannot be used. */
function settingOf({ base_url, api_key, auth_token }: ModelChange): { setting: ModelSetting; text: string | null } {
  const credential: ModelCredential | null = api_key != null ? "api_key" : auth_token != null ? "auth_token" : null;
  const text = api_key ?? auth_token ?? null;
  const endpoint = endpointOf({ base_url: base_url ?? DEFAULT_BASE_URL, credential }, text);
  if (endpoint.kind !== "remote") {
    const message = endpoint.kind === "unusable" ? endpoint.message : "There is neither an address nor a key.";
    throw new Refusal(400, "invalid_request_error", message, "endpoint_misconfigured");
  }
  return { setting: { base_url: endpoint.origin.origin + endpoint.prefix, credential }, text };
}

function endpointOf({ base_url, credential }: ModelSetting, text: string | null): Endpoint {
  return resolveEndpoint(
    { base_url, ...(credential === null || text === null ? {} : { [credential]: text }) },
    "vault",
  );
}

/** The endpoint as it is shown: its place and whether a credential crosses a network in the clear, without the credential. */
function shown(setting: ModelSetting): Endpoint {
  const endpoint = endpointOf(setting, setting.credential === null ? null : "x");
  return endpoint.kind === "remote" ? { ...endpoint, credentials: {} } : endpoint;
}
