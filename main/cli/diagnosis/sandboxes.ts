/** `longhaul doctor --sandboxes`: what Longhaul has on the container engine, whose it is, and its removal. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../config.ts";
import type { OwnInstall, Remnant, Standing } from "../../sandbox/docker/janitor/inventory.ts";
import { plural } from "../account/words.ts";
import { CommandFailed, EXIT } from "../command.ts";
import { findEngine as findRunningEngine, isAlive, readEngineFile } from "../engine/engine_file.ts";

export interface SandboxesRequest {
  data_dir: string;
  env: Environment;
  remove: boolean;
  /** Also what belongs to installs of which nothing can be known from here. */
  unknown: boolean;
}

export interface SandboxesReport {
  /** Address of the container engine; null when none is installed. */
  engine: string | null;
  /** Why there is none; null when there is one. */
  problem: string | null;
  objects: Remnant[];
  removed: string[];
  failed: { name: string; why: string }[];
}

/**
 * Lists, and removes when asked. Works with and without a running engine process: the ledger is only read.
 * Rejects with {@link CommandFailed} when the container engine or the ledger cannot be used.
 */
export async function inspectSandboxes(request: SandboxesRequest): Promise<SandboxesReport> {
  const [
    { ENGINE_MEMORY, findEngine, usedEngine },
    { EngineUnavailable },
    { takeInventory, CERTAIN },
    { removeRemnants },
  ] = await Promise.all([
    import("../../sandbox/docker/find_engine.ts"),
    import("../../sandbox/docker/discovery/connect.ts"),
    import("../../sandbox/docker/janitor/inventory.ts"),
    import("../../sandbox/docker/janitor/remove.ts"),
  ]);
  let close = (): void => undefined;
  try {
    const { docker, address } = await findEngine(request.env, {
      used: usedEngine(join(request.data_dir, ENGINE_MEMORY)),
    });
    const own = await ownInstall(request.data_dir);
    if (own !== null) close = own.close;
    const objects = await takeInventory(docker, own);
    const report: SandboxesReport = { engine: address, problem: null, objects, removed: [], failed: [] };
    if (!request.remove) return report;
    const standings: ReadonlySet<Standing> = request.unknown ? new Set<Standing>([...CERTAIN, "unknown"]) : CERTAIN;
    const { removed, failed } = await removeRemnants(docker, objects, standings);
    const gone = new Set(removed);
    return {
      ...report,
      objects: objects.filter((object) => !gone.has(object)),
      removed: removed.map(({ name }) => name),
      failed: failed.map(({ remnant, why }) => ({ name: remnant.name, why })),
    };
  } catch (error) {
    if (error instanceof EngineUnavailable && error.reason === "none") {
      return { engine: null, problem: error.summary, objects: [], removed: [], failed: [] };
    }
    if (error instanceof CommandFailed || !(error instanceof Error)) throw error;
    throw new CommandFailed(error.message);
  } finally {
    close();
  }
}

interface LedgerReader {
  hasSession: OwnInstall["hasSession"];
  close: () => void;
}

/** The install of the data directory with the sessions of its ledger; null when it never used a container engine. */
async function ownInstall(dataDir: string): Promise<(OwnInstall & LedgerReader) | null> {
  const { readInstall } = await import("../../sandbox/docker/janitor/install.ts");
  const install = readInstall(dataDir);
  if (install === null) return null;
  return { id: install.id, begun_before: await begunBefore(dataDir), ...(await knownSessions(dataDir)) };
}

/**
 * See {@link OwnInstall}. An engine process that runs may be preparing an image just now, also one that is too busy to
 * answer; without one nobody is.
 */
export async function begunBefore(dataDir: string, timeoutMs?: number): Promise<number> {
  const running = await findRunningEngine(dataDir, timeoutMs);
  if (running.state === "running") return startOf(running.facts);
  const file = readEngineFile(dataDir);
  return file !== null && isAlive(file.pid) ? 0 : Date.now();
}

async function startOf(facts: { url: string; token: string }): Promise<number> {
  const { LocalClient } = await import("../client.ts");
  const { started_at } = await new LocalClient(() => Promise.resolve(facts as never)).health();
  return Date.parse(started_at);
}

/** Whether the ledger has a session, asked of the file each time: sessions may be made meanwhile. */
async function knownSessions(dataDir: string): Promise<LedgerReader> {
  const [{ default: Database }, { LEDGER_FILE }] = await Promise.all([
    import("better-sqlite3"),
    import("../../session/sqlite/file/file_check.ts"),
  ]);
  const path = join(dataDir, LEDGER_FILE);
  // Without its ledger nothing is known of any session: none of them is taken for deleted.
  if (!existsSync(path)) return { hasSession: () => Promise.resolve(true), close: () => undefined };
  try {
    const database = new Database(path, { readonly: true, fileMustExist: true });
    const find = database.prepare<[string], number>("SELECT no FROM session_keys WHERE id = ?").pluck();
    const hasSession = (sessionId: string) => Promise.resolve(find.get(sessionId) !== undefined);
    return { hasSession, close: () => void database.close() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandFailed(
      `${path} cannot be read as a ledger (${reason}), so nobody can tell whose the sandboxes are. Nothing was changed. ` +
        "`longhaul verify` says more.",
    );
  }
}

const WORDS: Record<Standing, string> = {
  live: "in use",
  deleted_session: "session deleted",
  leftover: "leftover",
  dead_install: "install gone",
  other_install: "other install",
  unknown: "unknown",
  foreign: "not ours",
};

/** The report as text for a terminal. */
export function sandboxesText(report: SandboxesReport, request: Pick<SandboxesRequest, "remove">): string {
  if (report.engine === null) return `${report.problem ?? ""} So there are no sandboxes in containers here.\n`;
  const { objects, removed, failed } = report;
  const lines = objects.map(
    ({ kind, name, standing, why, state, size_bytes }) =>
      `${WORDS[standing].padEnd(16)} ${kind.padEnd(10)} ${detail(state, size_bytes).padEnd(9)} ${name}  ${why}`,
  );
  if (lines.length === 0 && removed.length === 0)
    lines.push(`Nothing of Longhaul's is on the engine at ${report.engine}.`);
  lines.push(...removed.map((name) => `Removed ${name}`));
  lines.push(...failed.map(({ name, why }) => `Could not remove ${name}: ${why}`));
  const removable = objects.filter(({ standing }) =>
    ["deleted_session", "leftover", "dead_install"].includes(standing),
  );
  const unknown = objects.filter(({ standing }) => standing === "unknown");
  if (!request.remove && removable.length > 0) {
    lines.push(
      "",
      `${plural(removable.length, "object")} can go: \`longhaul doctor --sandboxes --remove\` removes them and nothing else.`,
    );
  }
  if (request.remove) lines.push("", `${removed.length} removed, ${objects.length} left. What is left says why above.`);
  if (unknown.length > 0) {
    lines.push(
      `${plural(unknown.length, "object")} may belong to an install on another machine or disk. If you know that it is gone: ` +
        "`longhaul doctor --sandboxes --remove --unknown`.",
    );
  }
  return `${lines.join("\n")}\n`;
}

function detail(state: string | null, size: number | null): string {
  if (state !== null) return state;
  if (size === null) return "";
  return size >= 1024 ** 3 ? `${(size / 1024 ** 3).toFixed(1)} GiB` : `${Math.round(size / 1024 ** 2)} MiB`;
}

/** Something asked for could not be removed: exit code 1. */
export function sandboxesExit({ failed }: SandboxesReport): number {
  return failed.length === 0 ? EXIT.done : EXIT.failed;
}
