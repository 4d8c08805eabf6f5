/**
 * Completes `package-lock.json` after `npm install`; run `node .ci/lock.ts` then. npm writes two things incompletely,
 * and each makes `npm ci` fail on some machines:
 * - Optional packages of other platforms that the registry at hand does not serve are left out, and `npm ci` refuses a
 *   lock without them. Their names and exact versions are known from the package that wants them.
 * - `gypfile: false` ("do not compile me") is not kept, so npm compiles a package that brings its binaries along.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface LockEntry {
  version?: string;
  optionalDependencies?: Record<string, string>;
  engines?: Record<string, string>;
  dev?: boolean;
  optional?: boolean;
  gypfile?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
}

export interface Lock {
  packages: Record<string, LockEntry>;
}

const PREBUILT = ["node_modules/better-sqlite3"];
const SYSTEMS = [
  "android",
  "darwin",
  "freebsd",
  "linux",
  "netbsd",
  "openbsd",
  "openharmony",
  "sunos",
  "win32",
  "wasm32",
];
const PROCESSORS = ["arm64", "arm", "ia32", "loong64", "ppc64", "riscv64", "s390x", "wasm32", "x64"];

/** True when `name` wanted by the package at `path` has an entry where Node would look for it. */
function isLocked(lock: Lock, path: string, name: string): boolean {
  for (let base = path; ; base = base.slice(0, Math.max(0, base.lastIndexOf("/node_modules/")))) {
    if (`${base === "" ? "" : `${base}/`}node_modules/${name}` in lock.packages) return true;
    if (base === "") return false;
  }
}

/** The entry of a package for another platform, from the words of its name. */
function platformEntry(name: string, version: string, wantedBy: LockEntry): LockEntry {
  const words = name.split(/[-/]/);
  const [os = ""] = SYSTEMS.filter((system) => words.includes(system));
  const [cpu = ""] = PROCESSORS.filter((processor) => words.includes(processor));
  if (os === "" || cpu === "" || !/^\d+\.\d+\.\d+$/.test(version)) {
    throw new Error(
      `package-lock.json lacks ${name}@${version}, and its platform cannot be told from its name: add it by hand.`,
    );
  }
  return {
    version,
    cpu: [cpu],
    ...(wantedBy.dev === true ? { dev: true } : {}),
    ...(os === "linux" ? { libc: [words.some((word) => word.startsWith("musl")) ? "musl" : "glibc"] } : {}),
    optional: true,
    ...(os === "wasm32" ? {} : { os: [os] }),
    ...(wantedBy.engines === undefined ? {} : { engines: wantedBy.engines }),
  };
}

/** The same lock with nothing missing. Throws when an entry cannot be made up. */
export function completeLock(lock: Lock): Lock {
  const packages = { ...lock.packages };
  for (const [path, entry] of Object.entries(lock.packages)) {
    for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
      if (!isLocked({ packages }, path, name)) packages[`node_modules/${name}`] = platformEntry(name, version, entry);
    }
  }
  for (const path of PREBUILT) {
    if (packages[path] !== undefined) packages[path] = { ...packages[path], gypfile: false };
  }
  const sorted = Object.entries(packages).sort(([a], [b]) => a.localeCompare(b, "en"));
  return { ...lock, packages: Object.fromEntries(sorted) };
}

export const LOCK_FILE = join(import.meta.dirname, "..", "package-lock.json");

if (import.meta.main) {
  const lock = JSON.parse(readFileSync(LOCK_FILE, "utf8")) as Lock;
  writeFileSync(LOCK_FILE, `${JSON.stringify(completeLock(lock), null, 2)}\n`);
}
