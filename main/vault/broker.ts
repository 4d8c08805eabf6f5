/**
 * The broker: the one process in which a credential exists. It listens on the loopback address only and refuses whatever
 * it does not know: unknown callers, unknown paths, foreign origins.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrokerBoot } from "../contract/process.ts";
import { Capabilities, sameSecret } from "./capabilities.ts";
import { answerControl } from "./control.ts";
import { Credentials } from "./credentials/credentials.ts";
import { DemoModel } from "./demo/answer.ts";
import { EgressAuthority } from "./egress/intercept/authority/authority.ts";
import { Variables } from "./egress/intercept/variables.ts";
import { type EgressOptions, EgressRoute } from "./egress/route.ts";
import { GitRoute } from "./git/route.ts";
import type { GitOptions } from "./git/upstream.ts";
import { AuditLog } from "./grants/audit.ts";
import { Grants } from "./grants/grants.ts";
import { type BrokerLog, brokerLog } from "./log.ts";
import { resolveEndpoint, secretsOf } from "./model/endpoint.ts";
import { answerModel, type ModelRouteContext } from "./model/route.ts";
import { DEFAULT_TIMEOUTS, Upstream, type UpstreamTimeouts } from "./model/upstream.ts";
import { Redactor } from "./redact.ts";
import { Refusal, refuse } from "./refusal.ts";
import { type Keys, openSealedStore, systemKeys } from "./sealed/open_store.ts";
import { StatusReport } from "./status.ts";

export interface BrokerOptions {
  timeouts?: Partial<UpstreamTimeouts>;
  /** Milliseconds between two deltas of the demo model. Default: `LONGHAUL_DEMO_PACE_MS`, else 12. */
  demoPaceMs?: number;
  /** For tests: limits, and another internet. */
  egress?: EgressOptions;
  git?: GitOptions;
  /** Where keys for credentials are kept. Default: the keychain, and the boot message's passphrase if there is one. */
  keys?: Keys;
  /** Takes one finished line of the log. Default: stderr. */
  writeLog?: (line: string) => void;
}

export interface Broker {
  /** `http://127.0.0.1:<port>` */
  url: string;
  log: BrokerLog;
  /**
   * Stops listening, lets requests in flight finish for at most `graceMs` (default 0), then ends them. Idempotent.
   */
  close(graceMs?: number): Promise<void>;
}

const DEFAULT_PACE_MS = 12;
/** Callers are on this machine: headers that take longer, or are larger, are not meant well. */
const HEADERS = {
  headersTimeout: 15_000,
  // A push can take longer than Node's five minutes to come in.
  requestTimeout: 3_600_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16 * 1024,
};

/** Starts a broker in this process. Rejects when the launch secret is not 256 bits of hex, or no port can be had. */
export async function startBroker(boot: BrokerBoot, options: BrokerOptions = {}): Promise<Broker> {
  if (!/^[0-9a-f]{64}$/.test(boot.launch_secret)) {
    throw new Error("The launch secret must be 256 bits in hexadecimal (64 digits 0-9 a-f).");
  }
  const app = new BrokerApp(boot, options);
  const server = createServer(HEADERS, (request, response) => {
    // A kept-alive connection whose last response came after the drain began would hold it up until its time-out.
    response.on("close", () => setImmediate(() => app.draining && server.closeIdleConnections()));
    void app.handle(request, response);
  });
  server.on("connect", (request, socket, head) => void app.egress.answer(request, socket, head));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  app.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  let closing: Promise<void> | null = null;
  return {
    url: `http://${app.host}`,
    log: app.log,
    close: (graceMs = 0) => (closing ??= stop(server, app, graceMs)),
  };
}

function stop(server: Server, app: BrokerApp, graceMs: number): Promise<void> {
  app.draining = true;
  // Tunnels can last for hours: only requests get the grace.
  app.egress.close();
  return new Promise((resolve) => {
    const end = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(end);
      app.close();
      resolve();
    });
    server.closeIdleConnections();
  });
}

class BrokerApp {
  host = "";
  draining = false;
  readonly log: BrokerLog;
  readonly egress: EgressRoute;
  readonly #authority: EgressAuthority;
  readonly #launchSecret: string;
  readonly #capabilities = new Capabilities();
  readonly #grants = new Grants();
  readonly #audit = new AuditLog();
  readonly #credentials: Credentials;
  readonly #git: GitRoute;
  readonly #status: StatusReport;
  readonly #model: ModelRouteContext;

  constructor(boot: BrokerBoot, options: BrokerOptions) {
    const endpoint = resolveEndpoint(boot.model);
    const secrets = [...secretsOf(boot.model), boot.launch_secret];
    const redactor = new Redactor(secrets);
    // The log's own: the values of credentials may be short or common words, which must not be masked in model answers.
    const logged = new Redactor([...secrets, boot.vault_passphrase ?? ""]);
    this.#launchSecret = boot.launch_secret;
    this.log = brokerLog(logged, options.writeLog);
    const keys = options.keys ?? systemKeys(boot.vault_passphrase ?? null);
    const store = openSealedStore(boot.data_dir, keys);
    this.#credentials = new Credentials(store, logged);
    this.#authority = new EgressAuthority(store, boot.data_dir);
    const variables = new Variables(this.#grants, this.#credentials);
    const parts = { variables, authority: this.#authority, audit: this.#audit };
    this.egress = new EgressRoute(this.#capabilities, this.log, parts, options.egress);
    const git = { grants: this.#grants, credentials: this.#credentials, audit: this.#audit, log: this.log };
    this.#git = new GitRoute(git, options.git);
    this.#status = new StatusReport(endpoint, () => this.#credentials.status());
    this.#model = {
      endpoint,
      upstream:
        endpoint.kind === "remote" ? new Upstream(endpoint.origin, { ...DEFAULT_TIMEOUTS, ...options.timeouts }) : null,
      redactor,
      log: this.log,
      demo: new DemoModel(options.demoPaceMs ?? paceFromEnvironment()),
      onOutcome: (outcome) => this.#status.note(outcome),
    };
  }

  close(): void {
    this.#model.upstream?.close();
  }

  /** Answers one request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => response.destroy());
    try {
      await this.#route(request, response);
    } catch (error) {
      if (response.destroyed) return;
      if (error instanceof Refusal) {
        this.log.info({ path: pathOf(request), status: error.status, code: error.code }, error.message);
        return refuse(response, error);
      }
      if (isAbort(error)) return void response.destroy();
      this.log.error({ path: pathOf(request), err: error }, "a request failed inside the broker");
      const text = "The broker failed at this request; its log says why. The request can be repeated.";
      refuse(response, new Refusal(500, "api_error", text));
    }
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A web page that resolves a name to 127.0.0.1 gives itself away by its Host, any other page by its Origin.
    if (request.headers.host !== this.host || request.headers.origin !== undefined) {
      throw new Refusal(403, "permission_error", "The broker answers only to the engine that was started with it.");
    }
    if (this.draining) {
      throw new Refusal(
        503,
        "api_error",
        "The broker is shutting down. Repeat the request when it is back.",
        "broker_draining",
      );
    }
    const path = pathOf(request);
    if (path.startsWith("/control/")) {
      this.#checkLaunch(request);
      return answerControl(request, response, {
        capabilities: this.#capabilities,
        credentials: this.#credentials,
        egress: this.egress,
        authority: this.#authority,
        grants: this.#grants,
        audit: this.#audit,
        status: this.#status,
        dropConnections: () => this.#model.upstream?.dropConnections(),
      });
    }
    const sessionId = this.#capabilities.sessionOf(tokenOf(request));
    if (sessionId === null) {
      const text = "This needs the capability token of a session. The one given is unknown or was revoked.";
      throw new Refusal(401, "authentication_error", text, "capability_refused");
    }
    if (path.startsWith("/model/")) return answerModel(request, response, sessionId, this.#model);
    if (path.startsWith("/git/")) return this.#git.answer(request, response, sessionId);
    throw new Refusal(404, "not_found_error", `${path} is not a route of the broker.`);
  }

  #checkLaunch(request: IncomingMessage): void {
    const given = tokenOf(request);
    if (given !== null && sameSecret(given, this.#launchSecret)) return;
    throw new Refusal(401, "authentication_error", "The control routes need this launch's secret as a Bearer token.");
  }
}

/** Bearer or `x-api-key`; null when there is neither. */
function tokenOf(request: IncomingMessage): string | null {
  const bearer = /^Bearer (\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
  if (bearer !== undefined) return bearer;
  const key = request.headers["x-api-key"];
  return typeof key === "string" ? key : null;
}

const pathOf = (request: IncomingMessage): string => (request.url ?? "/").split("?", 1)[0] ?? "/";

const isAbort = (error: unknown): boolean => error instanceof Error && error.name === "AbortError";

function paceFromEnvironment(): number {
  const pace = Number(process.env.LONGHAUL_DEMO_PACE_MS ?? DEFAULT_PACE_MS);
  return Number.isFinite(pace) && pace >= 0 && pace <= 1000 ? pace : DEFAULT_PACE_MS;
}
