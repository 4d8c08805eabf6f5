/** The only wiring: names the adapters behind every port and hands back a running engine. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createApi } from "./api/app.ts";
import { listen } from "./api/listen.ts";
import { LastUses } from "./api/local/connections/last_uses.ts";
import type { ApiPorts } from "./api/ports.ts";
import { launchDeployment } from "./api/v1/deployments/launch.ts";
import { newId } from "./contract/ids.ts";
import type { BrokerAddress, EngineBoot } from "./contract/process.ts";
import { SecretScanner } from "./contract/secrets/scanner.ts";
import { apiToken } from "./engine/api_token.ts";
import { countAttention, restingSince } from "./engine/attention.ts";
import { AuditChannel } from "./engine/audit/audit_channel.ts";
import { BrokerEgress } from "./engine/broker/broker_egress.ts";
import { brokerSettings } from "./engine/broker/broker_settings.ts";
import { brokerVault } from "./engine/broker/broker_vault.ts";
import { BrokerGit } from "./engine/git/broker_git.ts";
import { SessionPushes } from "./engine/git/pushes.ts";
import { grantedMcp } from "./engine/grants/granted_mcp.ts";
import { refreshedVault } from "./engine/grants/refreshed_vault.ts";
import { GrantsRegister } from "./engine/grants/register.ts";
import { engineHealth } from "./engine/health.ts";
import { scrubLog } from "./engine/log.ts";
import { thisBoot } from "./engine/machine.ts";
import { memorySource } from "./engine/memory_source.ts";
import { OutputFiles } from "./engine/outputs/output_files.ts";
import { Prices } from "./engine/prices.ts";
import { PrintsFeed } from "./engine/secrets/prints_feed.ts";
import { SessionSandboxes } from "./engine/session_sandboxes.ts";
import { SignInCodes } from "./engine/sign_in.ts";
import { BrokerModel } from "./harness/broker_model.ts";
import { rebuildRequest } from "./harness/context/rebuild.ts";
import { HandPool } from "./harness/hands.ts";
import type { HarnessPorts } from "./harness/ports.ts";
import { EndpointWebTools } from "./harness/web/executor.ts";
import { LeaseOrchestrator } from "./orchestration/orchestrator.ts";
import { Scheduler } from "./orchestration/schedules/scheduler.ts";
import { Triggers } from "./orchestration/triggers.ts";
import { ENGINE_MEMORY, EngineLink } from "./sandbox/docker/find_engine.ts";
import { openInstall } from "./sandbox/docker/janitor/install.ts";
import { Janitor } from "./sandbox/docker/janitor/janitor.ts";
import { idleTime } from "./sandbox/docker/janitor/reap.ts";
import { dockerProvider } from "./sandbox/docker/provider.ts";
import { embeddedProvider } from "./sandbox/embedded/provider.ts";
import { MemoryKeeper } from "./sandbox/memory/keeper.ts";
import { sandboxProviders } from "./sandbox/providers.ts";
import { fileBlobStore } from "./session/blobs.ts";
import { lockDataDir } from "./session/data_dir_lock.ts";
import type { Holder } from "./session/ledger.ts";
import { LiveDeltas } from "./session/live.ts";
import { eventScrubber } from "./session/secrets/mask_event.ts";
import { openSqliteLedger } from "./session/sqlite/open.ts";
import { BrokerMcp } from "./tools/mcp/broker_mcp.ts";
import { printKey } from "./vault/prints/keys.ts";
import { VERSION } from "./version.ts";
import { RecordCredentials } from "./workers/credentials.ts";
import { WorkSupply } from "./workers/supply.ts";

export interface EngineOptions extends Omit<EngineBoot, "type"> {
  /** Path of the embedded sandbox's host program. */
  sandbox_host: string;
  limits?: Partial<HarnessPorts["limits"]>;
  max_running?: number;
  onError: (sessionId: string, error: unknown) => void;
  /** One line about what was tidied up. */
  log: (line: string) => void;
  /** Told about requests that failed through this program's fault. */
  reportFailure: NonNullable<ApiPorts["reportFailure"]>;
}

export interface Engine {
  url: string;
  token: string;
  signInCode(): string;
  setBroker(broker: BrokerAddress): void;
  power(state: "suspend" | "resume"): Promise<void>;
  network(online: boolean): Promise<void>;
  /** Rows of the session list that need the person, and those that run. */
  attention(): Promise<{ needs_you: number; running: number }>;
  onActivity(listener: () => void): void;
  /** Stops in order: no more requests, runs leave, leases released, ledger closed. Sandboxes go on. */
  drain(): Promise<void>;
}

const LEASE_MS = 30_000;
/** How long a start waits for the broker's prints of secrets; without them nothing can be scrubbed. */
const PRINTS_MS = 10_000;
/** Silence on a model stream; the API pings every few seconds, a local model may think for minutes before its first token. */
const MODEL_IDLE_MS = 300_000;

/** Builds and starts an engine. Rejects with typed errors that {@link describeStartFailure} turns into words. */
export async function startEngine(options: EngineOptions): Promise<Engine> {
  mkdirSync(options.data_dir, { recursive: true, mode: 0o700 });
  const lock = lockDataDir(options.data_dir);
  const holder: Holder = { id: newId("lease_holder"), ...thisBoot() };
  const blobs = fileBlobStore(join(options.data_dir, "blobs"));
  // Recognises what only the broker knows, so that no echo of it is kept.
  const secrets = new SecretScanner(printKey(options.broker.launch_secret));
  scrubLog((line) => secrets.mask(line));
  // The data directory is locked: every other holder in the ledger is a process that is gone.
  const store = openSqliteLedger({
    dataDir: options.data_dir,
    blobs,
    isHolderAlive: (row) => row.id === holder.id,
    scrub: eventScrubber(secrets),
    report: options.log,
  });
  const { ledger, catalog, records } = store;
  const live = new LiveDeltas(secrets);
  let broker = options.broker;
  const model = new BrokerModel({ broker: () => broker, idleMs: MODEL_IDLE_MS });
  const prints = new PrintsFeed(model.client, secrets);
  const grants = new GrantsRegister({ ledger, records, client: model.client });
  const egress = new BrokerEgress(model.client, async (sessionId) => void (await grants.anew(sessionId)));
  const git = new BrokerGit({ client: model.client, grants, pushes: new SessionPushes(ledger) });
  const containers = new EngineLink(process.env, join(options.data_dir, ENGINE_MEMORY));
  const embedded = embeddedProvider({ dataDir: options.data_dir, hostEntry: options.sandbox_host, remotes: git });
  const providers = sandboxProviders({
    forced: options.sandbox,
    embedded,
    engineAnswers: () => containers.answers(),
    docker: () =>
      dockerProvider({
        dataDir: options.data_dir,
        installId: openInstall(options.data_dir).id,
        engine: () => containers.engine(),
        egress,
        git,
        tell: (sessionId, event) => {
          // What happens to a sandbox between calls; a session that was deleted meanwhile needs no telling.
          ledger.emitEvent(sessionId, event).catch((error: unknown) => options.onError(sessionId, error));
        },
      }),
  });
  const sandboxes = new SessionSandboxes(ledger, providers, secrets);
  const prices = new Prices(options.data_dir, options.log);
  const memory = new MemoryKeeper({
    source: memorySource(records, (text) => secrets.mask(text)),
    tell: (sessionId, event) => {
      ledger.emitEvent(sessionId, event).catch((error: unknown) => options.onError(sessionId, error));
    },
  });
  const mcp = grantedMcp(
    new BrokerMcp({
      version: VERSION,
      access: model.client,
      ensureGrants: async (sessionId) => void (await grants.anew(sessionId)),
    }),
    grants,
  );
  const hands = new HandPool(
    providers,
    catalog,
    blobs,
    live,
    memory,
    async (sessionId) => (await grants.ensure(sessionId)).variables,
  );
  const ports: HarnessPorts = {
    ledger,
    catalog,
    blobs,
    live,
    model,
    hands,
    web: new EndpointWebTools({ model, ledger }),
    mcp,
    limits: { compact_at_tokens: 150_000, max_rounds: 2_000, max_failures: 10, ...options.limits },
    priceOf: (model) => prices.of(model),
    now: Date.now,
    random: Math.random,
  };
  const supply = new WorkSupply({ records, ledger, now: Date.now, onError: options.onError });
  const orchestrator = new LeaseOrchestrator({
    ports,
    holder,
    max_running: options.max_running ?? 8,
    lease_ms: LEASE_MS,
    onError: options.onError,
  });
  const outputFiles = new OutputFiles({
    ledger,
    catalog,
    blobs,
    records,
    sandboxes,
    isAtWork: (sessionId) => orchestrator.activity(sessionId) !== null,
    now: Date.now,
    onError: options.onError,
  });
  orchestrator.onActivity((sessionId) => {
    if (orchestrator.activity(sessionId) === null) outputFiles.rested(sessionId);
  });
  // Containers of sessions that rest for so long are stopped; their files are kept and the next call starts them again.
  const idle_ms = idleTime(process.env["LONGHAUL_SANDBOX_IDLE_HOURS"]);
  const janitor = new Janitor({
    docker: () => containers.current()?.docker ?? null,
    install: () => openInstall(options.data_dir),
    hasSession: async (sessionId) => (await ledger.getSession(sessionId)) !== null,
    idle:
      idle_ms === null
        ? null
        : {
            idle_ms,
            now: Date.now,
            restingSince: (sessionId) => restingSince(ledger, orchestrator, sessionId),
            beforeStop: (sessionId) => hands.drop(sessionId),
          },
    log: options.log,
  });
  const schedules = new Scheduler({
    records,
    ledger,
    now: Date.now,
    launch: (deployment, sessionId) =>
      launchDeployment(
        { ledger, catalog, blobs, records, orchestrator, prices: () => prices.table(), now: Date.now },
        deployment,
        sessionId,
      ),
    isAgentArchived: async (agentId) => ((await catalog.getAgent(agentId))?.archived_at ?? null) !== null,
    onError: options.onError,
  });
  const dropConnections = (): void => {
    model.dropConnections();
    mcp.dropConnections();
  };
  const triggers = new Triggers({ orchestrator, model: { dropConnections }, now: Date.now });
  const codes = new SignInCodes();
  const lastUses = new LastUses(records);
  const token = apiToken(options.data_dir);
  const started_at = new Date().toISOString();
  let port = options.port;
  const app = createApi({
    ledger,
    catalog,
    records,
    blobs,
    live,
    work: supply.queue,
    credentials: new RecordCredentials(records, Date.now),
    orchestrator,
    schedules,
    vault: refreshedVault(brokerVault(model.client), grants),
    settings: brokerSettings(model.client, () => orchestrator.networkIsBack("network")),
    lastUses,
    token,
    allowedHosts: () => [`127.0.0.1:${port}`, `localhost:${port}`],
    allowedOrigins: () => [`http://127.0.0.1:${port}`, `http://localhost:${port}`],
    changes: (sessionId) => sandboxes.changes(sessionId),
    bringBack: (sessionId, mountPath) => sandboxes.bringBack(sessionId, mountPath),
    outputs: (sessionId) => sandboxes.outputs(sessionId),
    readOutput: (sessionId, path) => sandboxes.readOutput(sessionId, path),
    prices: () => prices.table(),
    storeOutputs: (sessionId) => outputFiles.refresh(sessionId),
    requestContext: (sessionId, spanId) => rebuildRequest({ ledger, catalog, blobs }, sessionId, spanId),
    health: () =>
      engineHealth({
        started_at,
        data_dir: options.data_dir,
        auto_resume: options.auto_resume,
        store,
        model,
        sandboxes: { forced: options.sandbox, known: () => containers.known() },
      }),
    destroySandbox: async (session) => {
      hands.drop(session.session_id);
      await sandboxes.destroy(session);
    },
    revokeCapability: (sessionId) => {
      egress.forget(sessionId);
      grants.forget(sessionId);
      mcp.drop(sessionId);
      return model.revoke(sessionId);
    },
    redeemSignInCode: (code) => codes.redeem(code),
    rendererDir: options.renderer_dir,
    scrub: (text) => secrets.mask(text),
    reportFailure: options.reportFailure,
  });
  const audit = new AuditChannel({
    client: model.client,
    ledger,
    onError: options.onError,
    log: options.log,
  });
  audit.onUse((use) => lastUses.note(use));
  if (!(await prints.start(PRINTS_MS))) options.log("The broker's prints of secrets are late; they are waited for.");
  const server = await listen(app, { host: options.host, port: options.port });
  port = Number(new URL(server.url).port);
  await supply.start();
  audit.start();
  triggers.start();
  janitor.start();
  await schedules.start();
  await orchestrator.recover(options.auto_resume);

  return {
    url: server.url,
    token,
    signInCode: () => codes.issue(),
    setBroker: (address) => {
      broker = address;
    },
    power: (state) => triggers.power(state),
    network: (online) => triggers.network(online),
    attention: () => countAttention(ledger, orchestrator),
    onActivity: (listener) => void orchestrator.onActivity(listener),
    drain: async () => {
      triggers.stop();
      await schedules.stop();
      supply.stop();
      await orchestrator.drain();
      await mcp.close();
      await outputFiles.stop();
      await server.close();
      await janitor.stop();
      await audit.stop();
      await prints.stop();
      await providers.close();
      await lastUses.stop();
      await ledger.close();
      lock.release();
    },
  };
}
