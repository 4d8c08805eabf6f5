/** What this machine brings: Node, SQLite, the data directory, git. */
import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import type { Environment } from "../../config.ts";
import { type Finding, fail, ok, warn } from "./check.ts";

const run = promisify(execFile);

/** Oldest versions that are known to work: better-sqlite3 needs this Node; older SQLite lacks fixes the ledger relies on. */
const NODE = [22, 18, 0];
const SQLITE = [3, 51, 3];

/** True when `version` ("3.51.3", "24.1") is at least `wanted`. */
export function isAtLeast(version: string, wanted: readonly number[]): boolean {
  const parts = version.replace(/^v/, "").split(".").map(Number);
  for (const [position, needed] of wanted.entries()) {
    const part = parts[position] ?? 0;
    if (part !== needed) return part > needed;
  }
  return true;
}

export function checkNode(version: string = process.versions.node): Finding {
  if (isAtLeast(version, NODE)) return ok("node", `Node ${version}`);
  return fail(
    "node",
    `Node ${version} is too old`,
    `Use Node ${NODE.join(".")} or newer; \`npm ci\` in the checkout brings one.`,
  );
}

export async function checkSqlite(): Promise<Finding> {
  try {
    const { default: Database } = await import("better-sqlite3");
    const database = new Database(":memory:");
    const row = database.prepare("select sqlite_version() as version").get() as { version: string };
    database.close();
    if (isAtLeast(row.version, SQLITE)) return ok("sqlite", `SQLite ${row.version}`);
    return fail(
      "sqlite",
      `SQLite ${row.version} is too old`,
      `The ledger needs ${SQLITE.join(".")} or newer: run \`npm ci\`.`,
    );
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    return fail(
      "sqlite",
      `SQLite cannot be loaded: ${reason}`,
      "Run `npm ci` with this Node; without SQLite nothing can be recorded.",
    );
  }
}

const GIB = 1024 ** 3;

export function checkDataDir(path: string): Finding[] {
  const name = "data";
  const existing = nearestExisting(path);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isDirectory()) {
    return [fail(name, `${path} is not a folder`, "Choose another one with --data-dir.")];
  }
  try {
    accessSync(existing, constants.W_OK | constants.X_OK);
  } catch {
    return [
      fail(name, `${existing} cannot be written`, "Make it writable for this user, or choose another --data-dir."),
    ];
  }
  const state = stat === undefined ? "is made at the first start" : "is writable";
  return [ok(name, `${path} ${state}`), freeSpace(existing)];
}

function freeSpace(path: string): Finding {
  const { bavail, bsize } = statfsSync(path);
  const free = bavail * bsize;
  const text = `${(free / GIB).toFixed(1)} GiB free`;
  const advice = "Free some space: a full disk stops sessions (nothing acknowledged is lost, they go on afterwards).";
  if (free < GIB / 10) return fail("space", text, advice);
  return free < GIB ? warn("space", text, advice) : ok("space", text);
}

function nearestExisting(path: string): string {
  let current = path;
  while (!existsSync(current) && dirname(current) !== current) current = dirname(current);
  return current;
}

export async function checkGit(env: Environment): Promise<Finding> {
  const advice = "Install git to attach folders of yours to a session; everything else works without it.";
  try {
    const { stdout } = await run("git", ["--version"], { timeout: 5000, env: env as NodeJS.ProcessEnv });
    return ok("git", stdout.trim());
  } catch {
    return warn("git", "git was not found", advice);
  }
}
