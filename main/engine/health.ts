/** What `GET /longhaul/v1/health` says: what works, what does not, and how to get it. */
import { accessSync, constants } from "node:fs";
import type { Health, HealthCheck } from "../contract/local_api.ts";
import type { BrokerModel } from "../harness/broker_model.ts";
import type { EngineKnowledge } from "../sandbox/docker/find_engine.ts";
import type { SandboxKind } from "../sandbox/port.ts";
import type { SqliteStore } from "../session/sqlite/open.ts";
import { VERSION } from "../version.ts";

export interface HealthSources {
  started_at: string;
  data_dir: string;
  auto_resume: boolean;
  store: SqliteStore;
  model: Pick<BrokerModel, "status">;
  sandboxes: SandboxSources;
}

export interface SandboxSources {
  /** What LONGHAUL_SANDBOX or `--sandbox` demands. */
  forced: SandboxKind | null;
  /** What is known of a container engine; must contact none. */
  known: () => EngineKnowledge;
}

interface BrokerStatus {
  model: Health["model"];
  keychain: HealthCheck;
}

export async function engineHealth(sources: HealthSources): Promise<Health> {
  const broker = await brokerStatus(sources.model);
  return {
    version: VERSION,
    pid: process.pid,
    started_at: sources.started_at,
    data_dir: sources.data_dir,
    auto_resume: sources.auto_resume,
    ...broker,
    sandbox: sandboxHealth(sources.sandboxes),
    ledger: ledgerHealth(sources),
  };
}

const EMBEDDED = "Embedded sandbox: a simulated shell with Python and JavaScript on a folder of its own.";
const EMBEDDED_LIMITS =
  "Shell commands, Python, JavaScript and file edits work with nothing installed. It is not a Linux machine: there is no " +
  "git, no package manager and no compiler in it.";

/** What a new session's sandbox is made with, as far as that is known without contacting a container engine. */
export function sandboxHealth({ forced, known }: SandboxSources): Health["sandbox"] {
  if (forced === "embedded") {
    return embedded("It was chosen (LONGHAUL_SANDBOX or --sandbox): leave that out to use containers.");
  }
  const knowledge = known();
  switch (knowledge.state) {
    case "answers": {
      const { name, version, address } = knowledge.engine;
      return containers(`Containers: ${name} ${version} at ${address}.`);
    }
    case "unavailable": {
      const { summary, advice } = knowledge.why;
      return forced === "docker" ? missing(summary, advice) : embedded(`${summary} ${advice}`);
    }
    case "unasked": {
      const [first] = knowledge.candidates;
      if (first !== undefined) {
        return containers(
          `Containers: an engine is expected at ${first}. It is asked when a session first needs a sandbox.`,
        );
      }
      const how =
        knowledge.problem ?? "Install and start Docker, Podman, Colima, OrbStack or Rancher Desktop for containers.";
      return forced === "docker" ? missing("No container engine was found.", how) : embedded(how);
    }
  }
}

function containers(summary: string): Health["sandbox"] {
  return { provider: "docker", state: "ok", summary, advice: null };
}

function embedded(how: string): Health["sandbox"] {
  return { provider: "embedded", state: "degraded", summary: EMBEDDED, advice: `${EMBEDDED_LIMITS} ${how}` };
}

function missing(summary: string, how: string): Health["sandbox"] {
  const advice = `Sessions answer, and their tools fail until there is one. ${how}`;
  return { provider: "docker", state: "missing", summary, advice };
}

function ledgerHealth({ store, data_dir }: HealthSources): Health["ledger"] {
  const facts = { sqlite: store.sqliteVersion, sessions: store.countSessions() };
  try {
    accessSync(data_dir, constants.W_OK);
    return {
      ...facts,
      state: "ok",
      summary: `SQLite ${facts.sqlite}, every event durable before it is shown.`,
      advice: null,
    };
  } catch {
    const advice = "Nothing new can be recorded. Make the data directory writable, then resume your sessions.";
    return { ...facts, state: "missing", summary: `The data directory ${data_dir} is not writable.`, advice };
  }
}

async function brokerStatus(model: HealthSources["model"]): Promise<BrokerStatus> {
  try {
    return (await model.status()) as BrokerStatus;
  } catch {
    const summary = "The credential broker is not answering; it is being restarted.";
    const down: HealthCheck = {
      state: "missing",
      summary,
      advice: "Sessions wait and go on by themselves when it is back.",
    };
    return { model: { ...down, source: "environment", endpoint: "unknown" }, keychain: down };
  }
}
