/**
 * Keeps the container engine tidy while an engine process runs: removes what deleted sessions of this install left, and
 * stops containers of sessions that have been idle for long. It never contacts a container engine that nothing else in
 * this process has used yet, and it never touches another install's.
 */
import type Docker from "dockerode";
import { removeFolders } from "./folders.ts";
import { type Install, leaveNote } from "./install.ts";
import { type OwnInstall, type Standing, takeInventory } from "./inventory.ts";
import { type IdleRule, reapIdle } from "./reap.ts";
import { removeRemnants } from "./remove.ts";

export interface JanitorOptions {
  /** The engine in use, or null while none was used. Must not contact one. */
  docker: () => Docker | null;
  /** Called when the engine has been used: names the install. */
  install: () => Install;
  hasSession: OwnInstall["hasSession"];
  /** Null: idle containers are not stopped. */
  idle: IdleRule | null;
  /** Milliseconds between looks at whether the engine has come into use. */
  look_ms?: number;
  /** Milliseconds between sweeps. */
  sweep_ms?: number;
  /** One line for the log. */
  log: (line: string) => void;
}

export interface Swept {
  /** Names of what was removed. */
  removed: string[];
  /** Sessions whose idle containers were stopped. */
  stopped: string[];
}

const LOOK_MS = 60_000;
const SWEEP_MS = 15 * 60_000;
/** Only what is this install's own: other installs are a person's decision. */
const OWN: ReadonlySet<Standing> = new Set(["deleted_session", "leftover"]);

export class Janitor {
  readonly #options: JanitorOptions;
  readonly #startedAt = Date.now();
  #timer: NodeJS.Timeout | null = null;
  #sweeping: Promise<Swept | null> | null = null;
  #sweptAt = Number.NEGATIVE_INFINITY;
  #noted = false;

  constructor(options: JanitorOptions) {
    this.#options = options;
  }

  start(): void {
    if (this.#timer !== null) return;
    this.#timer = setInterval(() => this.#look(), this.#options.look_ms ?? LOOK_MS);
    this.#timer.unref();
  }

  /** Resolves when a sweep that is under way has ended; never rejects. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#sweeping;
  }

  /** Sweeps now, if an engine is in use. Null when there is none, or it failed (which is logged). Never rejects. */
  sweep(): Promise<Swept | null> {
    const docker = this.#options.docker();
    if (docker === null) return Promise.resolve(null);
    this.#sweeping ??= this.#sweep(docker)
      .catch((error: unknown) => {
        // Tidiness can wait; what is in the way shows where sandboxes are used.
        this.#options.log(
          `The container engine was not tidied up: ${error instanceof Error ? error.message : String(error)}`,
        );
        return null;
      })
      .finally(() => {
        this.#sweeping = null;
      });
    return this.#sweeping;
  }

  #look(): void {
    if (performance.now() - this.#sweptAt < (this.#options.sweep_ms ?? SWEEP_MS)) return;
    if (this.#options.docker() === null) return;
    this.#sweptAt = performance.now();
    void this.sweep();
  }

  async #sweep(docker: Docker): Promise<Swept> {
    const { hasSession, idle, log } = this.#options;
    const install = this.#options.install();
    if (!this.#noted) await leaveNote(docker, install);
    this.#noted = true;
    const remnants = await takeInventory(docker, { id: install.id, hasSession, begun_before: this.#startedAt });
    const { removed, failed } = await removeRemnants(docker, remnants, OWN);
    const stopped = idle === null ? [] : await reapIdle(docker, remnants, idle);
    for (const folder of await removeFolders(install.data_dir, hasSession)) {
      log(`Removed ${folder} from the data directory: its session was deleted.`);
    }
    for (const { name, why } of removed) log(`Removed ${name} from the container engine: ${why}.`);
    for (const { remnant, why } of failed) log(`${remnant.name} could not be removed: ${why}.`);
    for (const session of stopped) log(`Stopped the idle container of ${session}; its files are kept.`);
    return { removed: removed.map(({ name }) => name), stopped };
  }
}
