/** Settings of one launch: flags and environment variables in, typed values out. Bad values are {@link UsageError}s. */
import { homedir } from "node:os";
import { isAbsolute, resolve } from "node:path";
import type { ModelEndpoint } from "./contract/process.ts";
import { CRASH_POINTS } from "./crash_points.ts";

export type SandboxChoice = "docker" | "embedded" | null;

export interface Settings {
  /** Absolute path; nothing of it needs to exist yet. */
  data_dir: string;
  /** 0 picks a free port. */
  port: number;
  /** null: the engine chooses. */
  sandbox: SandboxChoice;
  /** false: sessions cut off earlier wait for a person's Resume. */
  auto_resume: boolean;
  /** false: the API only, without the browser interface. */
  renderer: boolean;
  /** `<point>[:n]` for the first start of the engine; null in ordinary use. */
  crash_at: string | null;
}

/** Flags as the command line's parser hands them over; undefined means not given. */
export interface SettingFlags {
  "data-dir"?: string | undefined;
  port?: string | undefined;
  sandbox?: string | undefined;
  "auto-resume"?: boolean | undefined;
  renderer?: boolean | undefined;
}

export type Environment = Record<string, string | undefined>;

/** The caller asked for something that cannot be meant: shown as it is, exit code 2. Names the flag or variable and the fix. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Settings from flags first, then the environment, then defaults. Throws {@link UsageError}. */
export function readSettings(
  flags: SettingFlags,
  env: Environment,
  platform: NodeJS.Platform = process.platform,
): Settings {
  return {
    data_dir: dataDir(flags["data-dir"], env, platform),
    port: port(flags.port),
    sandbox: sandbox(flags.sandbox, env),
    auto_resume: flags["auto-resume"] ?? autoResume(env),
    renderer: flags.renderer ?? true,
    crash_at: crashAt(env),
  };
}

/** Value of a variable; null when it is unset or empty (an empty variable is how a shell says "not set"). */
function given(env: Environment, name: string): string | null {
  const value = env[name];
  return value === undefined || value.trim() === "" ? null : value.trim();
}

/** Where data lives when nothing is said: the platform's folder for application data. */
export function defaultDataDir(env: Environment, platform: NodeJS.Platform = process.platform): string {
  const home = given(env, platform === "win32" ? "USERPROFILE" : "HOME") ?? homedir();
  if (platform === "darwin") return resolve(home, "Library", "Application Support", "Longhaul");
  if (platform === "win32") return resolve(given(env, "APPDATA") ?? resolve(home, "AppData", "Roaming"), "Longhaul");
  const xdg = given(env, "XDG_DATA_HOME");
  // The XDG specification says that a relative path is invalid and must be ignored.
  return resolve(xdg !== null && isAbsolute(xdg) ? xdg : resolve(home, ".local", "share"), "longhaul");
}

function dataDir(flag: string | undefined, env: Environment, platform: NodeJS.Platform): string {
  if (flag !== undefined) return path("--data-dir", flag);
  const variable = env.LONGHAUL_DATA_DIR;
  if (variable !== undefined && variable !== "") return path("LONGHAUL_DATA_DIR", variable);
  return defaultDataDir(env, platform);
}

function path(name: string, value: string): string {
  if (value.trim() === "") throw new UsageError(`${name} is empty: give the path of a folder.`);
  if (value.includes("\0")) throw new UsageError(`${name} contains a NUL character: give the path of a folder.`);
  return resolve(value);
}

function port(flag: string | undefined): number {
  if (flag === undefined) return 0;
  const value = Number(flag);
  if (!/^\d{1,5}$/.test(flag) || value > 65_535) {
    throw new UsageError(`--port ${flag}: give a whole number from 0 to 65535; 0 picks a free port.`);
  }
  return value;
}

function sandbox(flag: string | undefined, env: Environment): SandboxChoice {
  const variable = given(env, "LONGHAUL_SANDBOX");
  const [name, value] = flag === undefined ? ["LONGHAUL_SANDBOX=", variable] : ["--sandbox ", flag];
  if (value === null || value === "docker" || value === "embedded") return value;
  throw new UsageError(`${name}${value}: use "docker" or "embedded", or leave it out and Longhaul chooses.`);
}

function autoResume(env: Environment): boolean {
  const value = given(env, "LONGHAUL_AUTO_RESUME");
  if (value === null || value === "1" || value === "true") return true;
  if (value === "0" || value === "false") return false;
  throw new UsageError(`LONGHAUL_AUTO_RESUME=${value}: use 1 or 0 (true and false work too).`);
}

/** Checked here too: a typo must end the command, not make the engine die six times. */
function crashAt(env: Environment): string | null {
  const value = given(env, "LONGHAUL_CRASH_AT");
  if (value === null) return null;
  const [point = "", count = "1"] = value.split(":");
  if (Object.hasOwn(CRASH_POINTS, point) && /^[1-9]\d*$/.test(count)) return value;
  throw new UsageError(
    `LONGHAUL_CRASH_AT=${value}: use <point> or <point>:<count>. \`longhaul doctor --list-crash-points\` names the points.`,
  );
}

/**
 * Takes the model endpoint out of `env` and removes every `ANTHROPIC_*` variable from it, so that no child process
 * inherits a key. Call it once, first thing, with `process.env`. Throws {@link UsageError} for an unusable base URL.
 */
export function takeModelEndpoint(env: Environment): ModelEndpoint {
  const base_url = given(env, "ANTHROPIC_BASE_URL");
  const api_key = given(env, "ANTHROPIC_API_KEY");
  const auth_token = given(env, "ANTHROPIC_AUTH_TOKEN");
  for (const name of Object.keys(env)) {
    if (/^ANTHROPIC_/i.test(name)) delete env[name];
  }
  if (base_url !== null) checkBaseUrl(base_url);
  for (const [name, value] of [
    ["ANTHROPIC_API_KEY", api_key] as const,
    ["ANTHROPIC_AUTH_TOKEN", auth_token] as const,
  ]) {
    // The value itself must not be shown: it is a credential, only mistyped.
    if (value !== null && !/^[\x21-\x7e]+$/.test(value)) {
      throw new UsageError(`${name} contains spaces or characters that a header cannot carry: copy the key again.`);
    }
  }
  return {
    ...(base_url === null ? {} : { base_url }),
    ...(api_key === null ? {} : { api_key }),
    ...(auth_token === null ? {} : { auth_token }),
  };
}

const PASSPHRASE = "LONGHAUL_VAULT_PASSPHRASE";
const MIN_PASSPHRASE = 8;

/**
 * Takes the passphrase for stored credentials out of `env`, so that no child process inherits it; null when none is set.
 * Call it once, first thing, with `process.env`. Throws {@link UsageError} for one that is too short to protect anything.
 */
export function takeVaultPassphrase(env: Environment): string | null {
  const passphrase = env[PASSPHRASE] ?? "";
  delete env[PASSPHRASE];
  if (passphrase === "") return null;
  if (passphrase.length < MIN_PASSPHRASE) {
    throw new UsageError(`${PASSPHRASE} is too short: use at least ${MIN_PASSPHRASE} characters, or unset it.`);
  }
  return passphrase;
}

function checkBaseUrl(value: string): void {
  const url = URL.canParse(value) ? new URL(value) : null;
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new UsageError(
      `ANTHROPIC_BASE_URL is not an http(s) address. Use for example https://api.anthropic.com or http://127.0.0.1:11434.`,
    );
  }
  if (url.username !== "" || url.password !== "") {
    throw new UsageError(
      "ANTHROPIC_BASE_URL carries a user name or password: put the key into ANTHROPIC_API_KEY instead.",
    );
  }
}

const SECRET_NAME = /(API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|_KEY$|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL)/i;

/**
 * Environment for the engine and whatever it starts: no `ANTHROPIC_*`, nothing named like a credential (the engine and
 * the sandboxes need none), and `LONGHAUL_CRASH_AT` only when `crashAt` is given.
 */
export function engineEnvironment(env: Environment, crashAt: string | null): Record<string, string> {
  const kept = childEnvironment(env, (name) => SECRET_NAME.test(name));
  if (crashAt !== null) kept.LONGHAUL_CRASH_AT = crashAt;
  return kept;
}

/** Environment for the broker: no `ANTHROPIC_*` and no passphrase (they come in the boot message), no crash point. */
export function brokerEnvironment(env: Environment): Record<string, string> {
  // Name look-ups take threads of this pool: names that sandboxes ask for must not hold up the model endpoint's.
  return { UV_THREADPOOL_SIZE: "16", ...childEnvironment(env, (name) => name === PASSPHRASE) };
}

function childEnvironment(env: Environment, drop: (name: string) => boolean): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || /^ANTHROPIC_/i.test(name) || name === "LONGHAUL_CRASH_AT" || drop(name)) continue;
    kept[name] = value;
  }
  return kept;
}
