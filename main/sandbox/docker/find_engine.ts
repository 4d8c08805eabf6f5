/** The container engine of this machine: found when a sandbox is first needed, asked again only after a while. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { type Candidates, candidates, type DockerEnvironment } from "./discovery/candidates.ts";
import { CONNECT_MS, connectEngine, type Engine, EngineUnavailable } from "./discovery/connect.ts";
import { ping } from "./discovery/probe.ts";

export interface FindOptions {
  platform?: NodeJS.Platform;
  /** Milliseconds for each candidate. */
  limitMs?: number;
  /** Address of the engine that has been used so far: nothing but a choice of the person's replaces it. */
  used?: string | null;
}

/** The most telling failure of several candidates: what a person can act on stands first. */
const TELLING = [
  "permission",
  "too_old",
  "windows_containers",
  "silent",
  "refused",
  "tls",
  "not_docker",
  "unreachable",
];

/**
 * Connects to the engine that `DOCKER_HOST`, the current Docker context or a usual socket names, in this order.
 * Rejects with {@link EngineUnavailable} within the time limits.
 */
export async function findEngine(env: DockerEnvironment, options: FindOptions = {}): Promise<Engine> {
  const { platform = process.platform, limitMs = CONNECT_MS, used = null } = options;
  const where = candidates(env, platform);
  if (where.problem !== null) throw new EngineUnavailable("misconfigured", where.problem, "");
  const found =
    where.chosen_by === null && used !== null ? where.found.filter(({ shown }) => shown === used) : where.found;
  if (found.length === 0) throw nothingFound(where, used);
  const failures: EngineUnavailable[] = [];
  for (const at of found) {
    try {
      return await connectEngine(at, limitMs);
    } catch (error) {
      if (!(error instanceof EngineUnavailable)) throw error;
      failures.push(error);
    }
  }
  failures.sort((a, b) => TELLING.indexOf(a.reason) - TELLING.indexOf(b.reason));
  throw failures[0] ?? nothingFound(where, used);
}

function nothingFound(where: Candidates, used: string | null): EngineUnavailable {
  if (used !== null) {
    const others = where.found.map(({ shown }) => shown);
    const other = others.length === 0 ? "" : ` Another engine is at ${others.join(" and ")}, and none of them there.`;
    return new EngineUnavailable(
      "unreachable",
      `The container engine that has been used so far is not running: ${used} is not there.`,
      `It keeps the sandboxes of your sessions.${other} Start it again, or set DOCKER_HOST to change to another for good.`,
    );
  }
  return new EngineUnavailable(
    "none",
    "No container engine was found.",
    `Looked for ${where.looked_at.join(", ")}. Install and start Docker, Podman, Colima, OrbStack or Rancher Desktop, ` +
      "or set DOCKER_HOST when it listens elsewhere.",
  );
}

/** What is known without contacting anything. */
export type EngineKnowledge =
  /** Nothing was asked yet: these may answer, or `problem` says why none can. */
  | { state: "unasked"; candidates: string[]; problem: string | null }
  | { state: "answers"; engine: Omit<Engine, "docker" | "at"> }
  | { state: "unavailable"; why: EngineUnavailable };

/** Within this time of an answer an engine is taken to be there; a call that finds otherwise says so itself. */
const FRESH_MS = 3000;
const PING_MS = 2000;
const Used = z.object({ address: z.string().min(1) });

/** File of a data directory in which its engine process remembers the container engine that it uses. */
export const ENGINE_MEMORY = "container_engine.json";

/** Address of the engine that was used so far, from the file that remembers it; null when none was. */
export function usedEngine(memory: string): string | null {
  try {
    return Used.parse(JSON.parse(readFileSync(memory, "utf8"))).address;
  } catch {
    // Never written, or not by us: any engine will do.
    return null;
  }
}

/** The one connection of a process. Nothing is contacted before the first {@link EngineLink.engine}. */
export class EngineLink {
  readonly #env: DockerEnvironment;
  readonly #options: Omit<FindOptions, "used">;
  readonly #memory: string | null;
  #engine: Engine | null = null;
  #answeredAt = Number.NEGATIVE_INFINITY;
  #failure: EngineUnavailable | null = null;
  #asking: Promise<Engine> | null = null;

  /** @param memory file that remembers the engine's address between runs; null: none */
  constructor(env: DockerEnvironment, memory: string | null, options: Omit<FindOptions, "used"> = {}) {
    this.#env = env;
    this.#memory = memory;
    this.#options = options;
  }

  /** The engine, asked again when its last answer is some seconds old. Rejects with {@link EngineUnavailable}. */
  engine(): Promise<Engine> {
    if (this.#engine !== null && performance.now() - this.#answeredAt < FRESH_MS) return Promise.resolve(this.#engine);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /** Null when an engine answers, else why none does. */
  async answers(): Promise<EngineUnavailable | null> {
    try {
      await this.engine();
      return null;
    } catch (error) {
      if (error instanceof EngineUnavailable) return error;
      throw error;
    }
  }

  /** The engine that answered last, without asking anything; null before the first use. */
  current(): Engine | null {
    return this.#engine;
  }

  /** Contacts nothing. */
  known(): EngineKnowledge {
    if (this.#failure !== null) return { state: "unavailable", why: this.#failure };
    if (this.#engine !== null) {
      const { docker: _, at: __, ...engine } = this.#engine;
      return { state: "answers", engine };
    }
    const { found, problem } = candidates(this.#env, this.#options.platform);
    return { state: "unasked", candidates: found.map(({ shown }) => shown), problem };
  }

  async #ask(): Promise<Engine> {
    try {
      const engine = (await this.#stillThere()) ?? (await this.#find());
      this.#engine = engine;
      this.#answeredAt = performance.now();
      this.#failure = null;
      return engine;
    } catch (error) {
      if (error instanceof EngineUnavailable) this.#failure = error;
      throw error;
    }
  }

  /** The known engine when it answers again; null when there is none or it has to be looked for. */
  async #stillThere(): Promise<Engine | null> {
    const engine = this.#engine;
    if (engine === null) return null;
    try {
      await ping(engine.at, PING_MS);
      return engine;
    } catch {
      // Whatever it was, looking for it anew tells it in words.
      return null;
    }
  }

  async #find(): Promise<Engine> {
    const used = this.#engine?.address ?? (this.#memory === null ? null : usedEngine(this.#memory));
    const engine = await findEngine(this.#env, { ...this.#options, used });
    if (engine.address !== used) this.#remember(engine.address);
    return engine;
  }

  #remember(address: string): void {
    if (this.#memory === null) return;
    mkdirSync(dirname(this.#memory), { recursive: true, mode: 0o700 });
    writeFileSync(this.#memory, `${JSON.stringify({ address })}\n`, { mode: 0o600 });
  }
}
