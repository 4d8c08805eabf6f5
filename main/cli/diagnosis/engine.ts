/** The engine that runs, if any, the model endpoint and the keychain. No key is sent or printed. */
import { UsageError } from "../../config.ts";
import type { Health, HealthCheck } from "../../contract/local_api.ts";
import type { ModelEndpoint } from "../../contract/process.ts";
import { openSealedStore, systemKeys } from "../../vault/sealed/open_store.ts";
import { LocalClient } from "../client.ts";
import { findEngine } from "../engine/engine_file.ts";
import { type Finding, fail, ok, warn } from "./check.ts";
import { checkKeychain, keychainFinding } from "./keychain.ts";

const DEFAULT_ENDPOINT = "https://api.anthropic.com";
const REACH_MS = 4000;

/** What the environment of this command brings; it may differ from that of the running engine. */
export interface Given {
  model: () => ModelEndpoint;
  vaultPassphrase: () => string | null;
}

/** Findings about the running engine, its model and its keychain, or about the environment when none runs. */
export async function checkEngine(dataDir: string, given: Given): Promise<Finding[]> {
  const found = await findEngine(dataDir);
  if (found.state === "stale") {
    return [
      warn("engine", `none runs; ${found.why}`, "Nothing to do: the next start replaces the old note."),
      ...(await withoutEngine(dataDir, given)),
    ];
  }
  if (found.state === "none") {
    return [ok("engine", "none runs on this data directory"), ...(await withoutEngine(dataDir, given))];
  }
  const running = ok("engine", `runs at ${found.facts.url}, process ${found.facts.pid}`);
  const { facts } = found;
  const health: Health = await new LocalClient(() => Promise.resolve(facts)).health();
  return [
    running,
    fromHealth("ledger", health.ledger),
    fromHealth("model", health.model),
    keychainFinding(health.keychain),
  ];
}

function withoutEngine(dataDir: string, { model, vaultPassphrase }: Given): Promise<Finding[]> {
  return Promise.all([checkModel(dataDir, model), checkKeychain(dataDir, vaultPassphrase)]);
}

function fromHealth(name: string, check: HealthCheck): Finding {
  if (check.state === "ok") return ok(name, check.summary, check.advice);
  const advice = check.advice ?? "Look at the engine's log.";
  return check.state === "degraded" ? warn(name, check.summary, advice) : fail(name, check.summary, advice);
}

async function checkModel(dataDir: string, model: () => ModelEndpoint): Promise<Finding> {
  let endpoint: ModelEndpoint;
  try {
    endpoint = model();
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    return fail("model", "the endpoint in the environment cannot be used", error.message);
  }
  const { base_url, api_key, auth_token } = endpoint;
  if (base_url === undefined && api_key === undefined && auth_token === undefined) {
    const kept = await openSealedStore(dataDir, systemKeys(null))
      .model()
      .catch(() => null);
    if (kept !== null) return await reach(kept.base_url, "vault", kept.credential !== null);
    const advice =
      "Start Longhaul and enter one (`longhaul model set`), or set ANTHROPIC_API_KEY, or ANTHROPIC_BASE_URL for another endpoint (Ollama, LM Studio, a gateway), for real work.";
    return warn("model", "nothing is set: the offline demo model answers", advice);
  }
  return await reach(base_url ?? DEFAULT_ENDPOINT, "environment", api_key !== undefined || auth_token !== undefined);
}

/** Any HTTP answer means that the endpoint is there; what it thinks of the key shows with the first request. */
async function reach(base: string, from: string, hasKey: boolean): Promise<Finding> {
  const where = `${new URL(base).origin} (from the ${from}, ${hasKey ? "with" : "without"} a key)`;
  try {
    const response = await fetch(base, { method: "HEAD", redirect: "manual", signal: AbortSignal.timeout(REACH_MS) });
    await response.body?.cancel();
    return ok("model", `${where} answers`);
  } catch (error) {
    const code = reasonOf(error);
    return fail(
      "model",
      `${where} cannot be reached (${code})`,
      "Check the address and the network; `longhaul run --demo` works offline.",
    );
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === "TimeoutError") return `no answer in ${REACH_MS / 1000} s`;
  const { cause } = error;
  if (!(cause instanceof Error)) return error.message;
  return "code" in cause ? String(cause.code) : cause.message;
}
