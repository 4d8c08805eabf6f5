/** What `GET /longhaul/v1/health` says: what works, what does not, and how to get it. */
import { accessSync, constants } from "node:fs";
import type { Health, HealthCheck } from "../contract/local_api.ts";
import type { BrokerModel } from "../harness/broker_model.ts";
import type { SqliteStore } from "../session/sqlite/open.ts";
import { VERSION } from "../version.ts";

export interface HealthSources {
  started_at: string;
  data_dir: string;
  auto_resume: boolean;
  store: SqliteStore;
  model: Pick<BrokerModel, "status">;
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
    sandbox: {
      provider: "embedded",
      state: "degraded",
      summary: "Embedded sandbox: a simulated shell with Python and JavaScript on a folder of its own.",
      advice:
        "Shell commands, Python, JavaScript and file edits work with nothing installed. It is not a Linux machine: there " +
        "is no git, no package manager and no compiler in it. Container sandboxes are not part of this version yet.",
    },
    ledger: ledgerHealth(sources),
  };
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
