/** What the broker says of the model endpoint and the keychain: found out when asked, never guessed. */
import { connect } from "node:net";
import type { Health, HealthCheck } from "../contract/local_api.ts";
import { type Endpoint, NAMES } from "./model/endpoint.ts";
import type { EndpointView, ModelEndpoints } from "./model/endpoints.ts";
import type { Outcome } from "./model/route.ts";
import { Refusal } from "./refusal.ts";

export interface BrokerStatus {
  model: Health["model"];
  keychain: HealthCheck;
}

const PROBE_MS = 2_000;
/** A probe this young is not repeated: a page that shows health asks again and again. */
const FRESH_MS = 15_000;
const HOW_TO_CONNECT =
  "Enter a key or the address of a local endpoint under Settings (or with `longhaul model set`), or set ANTHROPIC_API_KEY " +
  "or ANTHROPIC_BASE_URL and start Longhaul again.";

export class StatusReport {
  readonly #endpoints: Pick<ModelEndpoints, "view">;
  readonly #keychain: () => Promise<HealthCheck>;
  #last: { at: number; outcome: Outcome } | null = null;
  #change = 0;
  #probed: { at: number; failure: string | null } | null = null;

  /** @param keychain what is known of the place where the key for credentials is kept; must answer soon */
  constructor(endpoints: Pick<ModelEndpoints, "view">, keychain: () => Promise<HealthCheck>) {
    this.#endpoints = endpoints;
    this.#keychain = keychain;
  }

  /** Takes note of how a real exchange with the endpoint began; what began before the last change counts no more. */
  noteFor(): (outcome: Outcome) => void {
    const change = this.#change;
    return (outcome) => {
      if (change === this.#change) this.#last = { at: Date.now(), outcome };
    };
  }

  /** Another endpoint took the place of the one in use. */
  forget(): void {
    this.#change += 1;
    this.#last = null;
    this.#probed = null;
  }

  /** Takes at most {@link PROBE_MS}. Asks the endpoint for a connection only: no request, no credential, no cost. */
  async read(): Promise<BrokerStatus> {
    const [model, keychain] = await Promise.all([this.model(), this.#keychain()]);
    return { model, keychain };
  }

  /** Like {@link read}, of the endpoint alone. */
  async model(): Promise<Health["model"]> {
    let view: EndpointView;
    try {
      view = await this.#endpoints.view();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const advice = "Sessions are kept and can be resumed when that is mended.";
      return { source: "vault", endpoint: "unknown", state: "missing", summary: error.message, advice };
    }
    const { endpoint, trouble } = view;
    if (endpoint.kind === "demo") {
      return {
        source: "demo",
        endpoint: "offline demo",
        state: "degraded",
        summary: "No model is connected: sessions talk to the built-in offline demo.",
        advice: `The demo plays one small real coding task and needs no network. ${HOW_TO_CONNECT}`,
      };
    }
    const named = { source: endpoint.source, endpoint: endpoint.host };
    if (trouble !== null) return { ...named, ...kept(trouble) };
    if (endpoint.kind === "unusable") {
      return {
        ...named,
        state: "missing",
        summary: endpoint.message,
        advice: `Correct it${endpoint.source === "environment" ? " and start Longhaul again" : ""}. Sessions are kept.`,
      };
    }
    return { ...named, ...((await this.#trouble(endpoint)) ?? fine(endpoint, view.credential)) };
  }

  async #trouble(endpoint: Extract<Endpoint, { kind: "remote" }>): Promise<HealthCheck | null> {
    const outcome = this.#last?.outcome;
    if (outcome !== undefined && "status" in outcome && (outcome.status === 401 || outcome.status === 403)) {
      const summary = `${endpoint.host} refused the credential (status ${outcome.status}).`;
      return { state: "missing", summary, advice: `Sessions are kept and can be resumed. ${HOW_TO_CONNECT}` };
    }
    if (this.#last !== null && Date.now() - this.#last.at < FRESH_MS && "status" in this.#last.outcome) return null;
    const failure = await this.#probe(endpoint.origin);
    if (failure === null) return null;
    const advice = `Sessions wait and go on by themselves when it answers. Check the network and ${NAMES[endpoint.source].base_url}.`;
    return { state: "missing", summary: `${endpoint.host} cannot be reached (${failure}).`, advice };
  }

  async #probe(origin: URL): Promise<string | null> {
    if (this.#probed !== null && Date.now() - this.#probed.at < FRESH_MS) return this.#probed.failure;
    const failure = await connectionFailure(origin);
    // A failure is asked about again at once: people look at it while they repair it.
    this.#probed = failure === null ? { at: Date.now(), failure } : null;
    return failure;
  }
}

/** The key is sealed and cannot be opened now. */
function kept(trouble: Refusal): HealthCheck {
  const [summary = "", ...advice] = trouble.message.split(/(?<=\.) /);
  const waits = trouble.code === "keychain_locked" || trouble.code === "keychain_missing";
  const then = waits ? "Sessions wait for it and go on by themselves." : "Sessions are kept and can be resumed.";
  return { state: "missing", summary, advice: [...advice, then].join(" ") };
}

const WORDS = {
  api_key: "an API key",
  auth_token: "a bearer token",
  api_key_and_auth_token: "an API key and a bearer token",
};

function fine(endpoint: Extract<Endpoint, { kind: "remote" }>, credential: EndpointView["credential"]): HealthCheck {
  if (credential === null) return { state: "ok", summary: `${endpoint.host}, without a credential.`, advice: null };
  const summary = `${endpoint.host}, with ${WORDS[credential]} from the ${endpoint.source}.`;
  if (!endpoint.exposed) return { state: "ok", summary, advice: null };
  const advice = `The credential goes to ${endpoint.host} unencrypted. Use https: if the endpoint offers it.`;
  return { state: "degraded", summary, advice };
}

/** Why no TCP connection stands within {@link PROBE_MS}; null when one does. */
function connectionFailure(origin: URL): Promise<string | null> {
  const port = origin.port === "" ? (origin.protocol === "https:" ? 443 : 80) : Number(origin.port);
  return new Promise((resolve) => {
    const socket = connect({ host: origin.hostname.replace(/^\[|\]$/g, ""), port });
    const done = (failure: string | null): void => {
      socket.destroy();
      resolve(failure);
    };
    socket.setTimeout(PROBE_MS, () => done("no answer"));
    socket.once("connect", () => done(null));
    socket.once("error", (error: NodeJS.ErrnoException) => done(error.code ?? "connection failed"));
  });
}
