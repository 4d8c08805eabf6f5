/** What the broker says of the model endpoint and the keychain: found out when asked, never guessed. */
import { connect } from "node:net";
import type { Health, HealthCheck } from "../contract/local_api.ts";
import type { Endpoint } from "./model/endpoint.ts";
import type { Outcome } from "./model/route.ts";

export interface BrokerStatus {
  model: Health["model"];
  keychain: HealthCheck;
}

const PROBE_MS = 2_000;
/** A probe this young is not repeated: a page that shows health asks again and again. */
const FRESH_MS = 15_000;
const HOW_TO_CONNECT =
  "Set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for a local or other compatible endpoint, and start Longhaul again.";

export class StatusReport {
  readonly #endpoint: Endpoint;
  readonly #keychain: () => Promise<HealthCheck>;
  #last: { at: number; outcome: Outcome } | null = null;
  #probed: { at: number; failure: string | null } | null = null;

  /** @param keychain what is known of the place where the key for credentials is kept; must answer soon */
  constructor(endpoint: Endpoint, keychain: () => Promise<HealthCheck>) {
    this.#endpoint = endpoint;
    this.#keychain = keychain;
  }

  /** Takes note of how a real exchange with the endpoint began. */
  note(outcome: Outcome): void {
    this.#last = { at: Date.now(), outcome };
  }

  /** Takes at most {@link PROBE_MS}. Asks the endpoint for a connection only: no request, no credential, no cost. */
  async read(): Promise<BrokerStatus> {
    const [model, keychain] = await Promise.all([this.#model(), this.#keychain()]);
    return { model, keychain };
  }

  async #model(): Promise<Health["model"]> {
    const endpoint = this.#endpoint;
    if (endpoint.kind === "demo") {
      return {
        source: "demo",
        endpoint: "offline demo",
        state: "degraded",
        summary: "No model is connected: sessions talk to the built-in offline demo.",
        advice: `The demo plays one small real coding task and needs no network. ${HOW_TO_CONNECT}`,
      };
    }
    const named = { source: "environment" as const, endpoint: endpoint.host };
    if (endpoint.kind === "unusable") {
      return {
        ...named,
        state: "missing",
        summary: endpoint.message,
        advice: "Correct it and start Longhaul again. Sessions are kept.",
      };
    }
    return { ...named, ...((await this.#trouble(endpoint)) ?? fine(endpoint)) };
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
    const advice = "Sessions wait and go on by themselves when it answers. Check the network and ANTHROPIC_BASE_URL.";
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

function fine(endpoint: Extract<Endpoint, { kind: "remote" }>): HealthCheck {
  const { authorization, "x-api-key": key } = endpoint.credentials;
  const credential =
    key !== undefined ? "an API key" : authorization !== undefined ? "a bearer token" : "no credential";
  const summary = `${endpoint.host}, with ${credential} from the environment.`;
  if (!endpoint.exposed)
    return {
      state: "ok",
      summary: credential === "no credential" ? `${endpoint.host}, without a credential.` : summary,
      advice: null,
    };
  return {
    state: "degraded",
    summary,
    advice: `The credential goes to ${endpoint.host} unencrypted. Use https: if the endpoint offers it.`,
  };
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
