/**
 * The broker: the one process in which a credential exists. It listens on the loopback address only and refuses whatever
 * it does not know: unknown callers, unknown paths, foreign origins.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrokerBoot } from "../contract/process.ts";
import { PRINTS_HEADER } from "../contract/secrets/prints.ts";
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
import { type McpOptions, McpRoute } from "./mcp/route.ts";
import { secretsOf } from "./model/endpoint.ts";
import { ModelEndpoints } from "./model/endpoints.ts";
import { answerModel, type ModelRouteContext } from "./model/route.ts";
import { Challenges } from "./oauth/challenges.ts";
import { Registrations } from "./oauth/client/registrations.ts";
import { clientMetadataUrl, type SignInOptions, SignIns } from "./oauth/sign_ins.ts";
import { printsOfSealed } from "./prints/of_sealed.ts";
import { Prints } from "./prints/prints.ts";
import { Redactor } from "./redact.ts";
import { Refusal, refuse } from "./refusal.ts";
import { isFromBrowser, malformed } from "./relay/admission.ts";
import { DEFAULT_TIMEOUTS, type UpstreamTimeouts } from "./relay/upstream.ts";
import { type Keys, openSealedStore, systemKeys } from "./sealed/open_store.ts";
import { PassphraseKeys } from "./sealed/passphrase.ts";
import type { SettingsContext } from "./settings_routes.ts";
import { StatusReport } from "./status.ts";

export interface BrokerOptions {
  timeouts?: Partial<UpstreamTimeouts>;
  /** Milliseconds between two deltas of the demo model. Default: `LONGHAUL_DEMO_PACE_MS`, else 12. */
  demoPaceMs?: number;
  /** For tests: limits, and another internet. */
  egress?: EgressOptions;
  mcp?: McpOptions;
  git?: GitOptions;
  /** Where keys for credentials are kept. Default: the keychain, and the boot message's passphrase if there is one. */
  keys?: Keys;
  /** How to sign in to MCP servers. Default: a document at `LONGHAUL_CLIENT_METADATA_URL`, if that is set. */
  oauth?: SignInOptions;
  /** Milliseconds that keys from the keychain, and the model key, stay in memory. Default: a minute. */
  keepKeysMs?: number;
  /** Told which passphrase the next broker needs, after a person changed it; null when none seals any more. */
  onPassphrase?: (passphrase: string | null) => void;
  /** Takes one finished line of the log. Default: stderr. */
  writeLog?: (line: string) => void;
}

type SessionRoute = (request: IncomingMessage, response: ServerResponse, sessionId: string) => Promise<void>;

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
  // Tunnels and event streams can last for hours: only requests get the grace.
  app.endWaits();
  app.egress.close();
  app.mcp.endStreams();
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
  /** Connections on which a request was ambiguous. */
  readonly #distrusted = new WeakSet<object>();
  readonly #grants = new Grants();
  readonly #audit = new AuditLog();
  readonly #prints: Prints;
  readonly #ending = new AbortController();
  readonly #credentials: Credentials;
  readonly #challenges = new Challenges();
  readonly #signIns: SignIns;
  readonly #git: GitRoute;
  readonly #status: StatusReport;
  readonly #model: ModelRouteContext;
  readonly mcp: McpRoute;
  /** Routes of sessions, by the first part of their paths. */
  readonly #routes: Readonly<Record<string, SessionRoute>>;
  readonly #settings: SettingsContext;

  constructor(boot: BrokerBoot, options: BrokerOptions) {
    const secrets = [...secretsOf(boot.model), boot.launch_secret];
    const redactor = new Redactor(secrets);
    // The log's own: the values of credentials may be short or common words, which must not be masked in model answers.
    const known = [...secrets, boot.vault_passphrase ?? ""];
    this.#prints = new Prints(boot.launch_secret, known);
    const logged = new Redactor(known, (values) => this.#prints.learn(values));
    this.#launchSecret = boot.launch_secret;
    this.log = brokerLog(logged, options.writeLog);
    const keys = options.keys ?? systemKeys(boot.vault_passphrase ?? null);
    const store = openSealedStore(boot.data_dir, keys, {
      watcher: printsOfSealed(this.#prints),
      ...(options.keepKeysMs === undefined ? {} : { keepMs: options.keepKeysMs }),
    });
    this.#credentials = new Credentials(store, logged);
    const registrations = new Registrations(store, (secrets) => logged.learn(secrets));
    const oauth = { clientMetadataUrl: clientMetadataUrl(), ...options.oauth };
    this.#signIns = new SignIns(this.#credentials, registrations, this.#challenges, this.log, oauth);
    // Its values can be opened without asking anybody; those of a keychain are learned when it is first opened.
    if (boot.vault_passphrase !== undefined) void this.#credentials.status();
    this.#authority = new EgressAuthority(store, boot.data_dir);
    const variables = new Variables(this.#grants, this.#credentials);
    const parts = { variables, authority: this.#authority, audit: this.#audit };
    this.egress = new EgressRoute(this.#capabilities, this.log, parts, options.egress);
    const git = { grants: this.#grants, credentials: this.#credentials, audit: this.#audit, log: this.log };
    this.#git = new GitRoute(git, options.git);
    const endpoints = new ModelEndpoints({
      environment: boot.model,
      store,
      timeouts: { ...DEFAULT_TIMEOUTS, ...options.timeouts },
      learn: (values) => {
        redactor.learn(values);
        logged.learn(values);
      },
      onChange: () => this.#status.forget(),
      ...(options.keepKeysMs === undefined ? {} : { keepMs: options.keepKeysMs }),
    });
    this.#status = new StatusReport(endpoints, () => this.#credentials.status());
    this.#model = {
      endpoints,
      redactor,
      log: this.log,
      demo: new DemoModel(options.demoPaceMs ?? paceFromEnvironment()),
      noteFor: () => this.#status.noteFor(),
    };
    this.#settings = {
      endpoints,
      store,
      status: this.#status,
      redactor,
      keychain: keys.keychain,
      fromPassphrase: (text) => {
        logged.learn([text]);
        return keys.fromPassphrase?.(text) ?? new PassphraseKeys(text);
      },
      onPassphrase: options.onPassphrase ?? (() => undefined),
    };
    const shared = { grants: this.#grants, audit: this.#audit, log: this.log };
    const challenges = this.#challenges;
    this.mcp = new McpRoute({ ...shared, bearers: this.#credentials, challenges }, options.mcp);
    this.#routes = Object.assign(Object.create(null) as Record<string, SessionRoute>, {
      model: (request, response, sessionId) => answerModel(request, response, sessionId, this.#model),
      mcp: (request, response, sessionId) => this.mcp.answer(request, response, sessionId),
      git: (request, response, sessionId) => this.#git.answer(request, response, sessionId),
    } satisfies Record<string, SessionRoute>);
  }

  /** Lets go of whoever waits for something to happen. */
  endWaits(): void {
    this.#ending.abort();
  }

  close(): void {
    this.#signIns.close();
    this.#model.endpoints.close();
    this.mcp.close();
  }

  /** Answers one request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on("error", () => response.destroy());
    sayVersion(response, this.#prints);
    // What stands behind an ambiguous request may be a part of it.
    if (this.#distrusted.has(request.socket)) return;
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
    if (request.headers.host !== this.host || isFromBrowser(request)) {
      throw new Refusal(403, "permission_error", "The broker answers only to the engine that was started with it.");
    }
    const wrong = malformed(request);
    if (wrong !== null) {
      this.#distrusted.add(request.socket);
      response.setHeader("connection", "close");
      throw new Refusal(400, "invalid_request_error", wrong);
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
        signIns: this.#signIns,
        egress: this.egress,
        authority: this.#authority,
        grants: this.#grants,
        audit: this.#audit,
        prints: this.#prints,
        ending: this.#ending.signal,
        status: this.#status,
        mcp: this.mcp,
        settings: this.#settings,
        dropConnections: () => {
          this.#model.endpoints.dropConnections();
          this.mcp.dropConnections();
        },
      });
    }
    const sessionId = this.#capabilities.sessionOf(tokenOf(request));
    if (sessionId === null) {
      const text = "This needs the capability token of a session. The one given is unknown or was revoked.";
      throw new Refusal(401, "authentication_error", text, "capability_refused");
    }
    const route = this.#routes[/^\/([a-z]+)\//.exec(path)?.[1] ?? ""];
    if (route !== undefined) return route(request, response, sessionId);
    throw new Refusal(404, "not_found_error", `${path} is not a route of the broker.`);
  }

  #checkLaunch(request: IncomingMessage): void {
    const given = tokenOf(request);
    if (given !== null && sameSecret(given, this.#launchSecret)) return;
    throw new Refusal(401, "authentication_error", "The control routes need this launch's secret as a Bearer token.");
  }
}

/** As the response begins, whoever begins it: what was learned while it was made is in the version. */
function sayVersion(response: ServerResponse, prints: Prints): void {
  const writeHead = response.writeHead.bind(response) as (...head: unknown[]) => ServerResponse;
  response.writeHead = (...head: unknown[]) => {
    response.setHeader(PRINTS_HEADER, prints.version);
    return writeHead(...head);
  };
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
