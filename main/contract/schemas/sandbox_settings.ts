/**
 * Settings of a sandbox, or of the workers in its place: keys of an environment's `metadata` that begin with `longhaul.`. Parsed here for both sides: a
 * request that sets one is refused when it is wrong, and the provider reads the same values with the same rules.
 */
import type { z } from "zod";

const KIB = 1024;
const UNITS: Record<string, number> = { k: KIB, m: KIB ** 2, g: KIB ** 3, t: KIB ** 4 };
/** Less than this and the shell that runs the commands does not start reliably. */
const MIN_MEMORY = 64 * KIB ** 2;
const MAX_MEMORY = 4 * KIB ** 4;
const MIN_PIDS = 32;
const MAX_PIDS = 32_768;

/** Image names as engines take them: optional registry host with port, path in lower case, optional tag and digest; or an id. */
const IMAGE =
  /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::\d{1,5})?\/)?[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_{1,2}|-+)[a-z0-9]+)*)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$|^sha256:[0-9a-f]{12,64}$/;
const RUNTIME = /^[A-Za-z0-9][A-Za-z0-9_./-]{0,127}$/;

/** Bytes of a size such as "512m" or "4g" (powers of 1024); null when it is none, or out of bounds. */
export function parseMemory(text: string): number | null {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)([kmgt])i?b?$/i.exec(text.trim());
  if (match === null) return null;
  const bytes = Math.round(Number(match[1]) * (UNITS[(match[2] ?? "").toLowerCase()] ?? Number.NaN));
  return bytes >= MIN_MEMORY && bytes <= MAX_MEMORY ? bytes : null;
}

/** Billionths of a processor for "2" or "0.5"; null when it is no such number, or out of bounds. */
export function parseCpus(text: string): number | null {
  if (!/^\d{1,4}(\.\d{1,3})?$/.test(text.trim())) return null;
  const cpus = Number(text);
  return cpus >= 0.1 && cpus <= 1024 ? Math.round(cpus * 1e9) : null;
}

/** A number of processes; null when it is no whole number, or out of bounds. */
export function parsePids(text: string): number | null {
  if (!/^\d{1,6}$/.test(text.trim())) return null;
  const pids = Number(text);
  return pids >= MIN_PIDS && pids <= MAX_PIDS ? pids : null;
}

/** Seconds that a worker of a `self_hosted` environment holds a session without a heartbeat; null when out of bounds. */
export function parseLeaseSeconds(text: string): number | null {
  if (!/^\d{1,4}$/.test(text)) return null;
  const seconds = Number(text);
  return seconds >= 2 && seconds <= 3600 ? seconds : null;
}

interface Setting {
  accepts: (value: string) => boolean;
  /** What the value must be, after the key's name. */
  rule: string;
}

const SETTINGS: Record<string, Setting> = {
  "longhaul.sandbox": {
    accepts: (value) => value === "docker" || value === "embedded",
    rule: 'must be "docker" or "embedded"; leave it out and Longhaul chooses',
  },
  "longhaul.image": {
    accepts: (value) => value.length <= 255 && IMAGE.test(value),
    rule: 'must be the name of an image in lower case, such as "debian:12" or "registry.example.com/team/image:tag"',
  },
  "longhaul.runtime": {
    accepts: (value) => RUNTIME.test(value),
    rule: 'must be the name of a runtime that the container engine knows, such as "runsc" or "kata"',
  },
  "longhaul.memory": {
    accepts: (value) => parseMemory(value) !== null,
    rule: 'must be a size from "64m" to "4t", such as "512m" or "4g"',
  },
  "longhaul.cpus": {
    accepts: (value) => parseCpus(value) !== null,
    rule: 'must be a number of processors from "0.1" to "1024", such as "2" or "0.5"',
  },
  "longhaul.pids": {
    accepts: (value) => parsePids(value) !== null,
    rule: `must be a whole number of processes from "${MIN_PIDS}" to "${MAX_PIDS}", such as "512"`,
  },
  "longhaul.worker_lease": {
    accepts: (value) => parseLeaseSeconds(value) !== null,
    rule: 'must be a whole number of seconds from "2" to "3600", such as "300"',
  },
};

/** What is wrong with one pair of an environment's metadata, as a predicate; null when nothing is. */
export function settingProblem(key: string, value: string): string | null {
  if (!key.startsWith("longhaul.")) return null;
  const setting = Object.hasOwn(SETTINGS, key) ? SETTINGS[key] : undefined;
  if (setting !== undefined) return setting.accepts(value) ? null : setting.rule;
  return `is not a setting of a sandbox; those are ${Object.keys(SETTINGS).join(", ")}. Rename or remove it`;
}

/** Refuses wrong settings in a bag of metadata; null and empty values take a key away and are always fine. */
export function withSettings<S extends z.ZodType<Record<string, string | null>>>(bag: S): S {
  return bag.superRefine((pairs, context) => {
    for (const [key, value] of Object.entries(pairs)) {
      const message = value === null || value === "" ? null : settingProblem(key, value);
      if (message !== null) context.addIssue({ code: "custom", path: [key], message });
    }
  });
}
