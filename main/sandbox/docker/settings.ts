/** What an environment's metadata says about its containers, with the defaults. */
import { parseCpus, parseMemory, parsePids, settingProblem } from "../../contract/schemas/sandbox_settings.ts";
import { SandboxLost } from "../port.ts";

export interface SandboxSettings {
  /** Name of the person's own image; null: ours. */
  image: string | null;
  /** Runtime of the engine (`runsc`, `kata`); null: the engine's default. */
  runtime: string | null;
  memory_bytes: number;
  /** Billionths of a processor. */
  nano_cpus: number;
  /** Processes and threads at once. */
  pids: number;
}

const DEFAULTS = { memory_bytes: 4 * 1024 ** 3, nano_cpus: 2e9, pids: 512 };

/**
 * The settings in an environment's metadata. Requests are checked with the same rules, so a wrong value here comes from
 * an environment that was recorded by another version.
 * @param engineCpus processors of the engine: it refuses a container that asks for more, so the limit stays below it
 * @throws SandboxLost that names the key and what it must be
 */
export function sandboxSettings(
  metadata: Readonly<Record<string, string>> | undefined,
  engineCpus: number = Number.POSITIVE_INFINITY,
): SandboxSettings {
  for (const [key, value] of Object.entries(metadata ?? {})) {
    const problem = settingProblem(key, value);
    if (problem === null) continue;
    throw new SandboxLost(
      `The environment's setting \`metadata.${key}\` (${JSON.stringify(value.slice(0, 100))}) ${problem}. ` +
        "No sandbox was made. Correct it in a new environment and start a session there.",
    );
  }
  const nano_cpus = parseCpus(metadata?.["longhaul.cpus"] ?? "") ?? DEFAULTS.nano_cpus;
  return {
    image: metadata?.["longhaul.image"] ?? null,
    runtime: metadata?.["longhaul.runtime"] ?? null,
    memory_bytes: parseMemory(metadata?.["longhaul.memory"] ?? "") ?? DEFAULTS.memory_bytes,
    nano_cpus: Math.min(nano_cpus, engineCpus * 1e9),
    pids: parsePids(metadata?.["longhaul.pids"] ?? "") ?? DEFAULTS.pids,
  };
}
