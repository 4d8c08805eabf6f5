/** Tells whether the kernel killed a process of a container for its memory. */
import type { DockerContainer } from "../../container/container.ts";
import { engineCall, LOOK_MS } from "../../container/engine_call.ts";

/** Kernels count the kills in one of these files, depending on the version of control groups. */
const COUNTERS = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];
/** What a failed command says when a process of it was killed, or could not get memory. */
const SUSPICIOUS =
  /\b137\b|\bkilled\b|SIGKILL|signal 9|out of memory|cannot allocate memory|MemoryError|bad_alloc|ENOMEM|session terminated/i;
/** The engine hears of a kill a moment after those who waited for the process. */
const SETTLE_MS = 150;

export class MemoryWatch {
  #container = "";
  #kills = 0;

  /** True when `text`, a failure's, comes of a kill in the last `elapsedMs`. Never rejects. */
  async failedByIt(container: DockerContainer, text: string, elapsedMs: number): Promise<boolean> {
    if (!SUSPICIOUS.test(text)) return false;
    const counted = await this.#counted(container).catch(() => null);
    return counted ?? this.happened(container, elapsedMs);
  }

  /** True when the engine tells of a kill in the container in the last `elapsedMs`. Never rejects. */
  async happened(container: DockerContainer, elapsedMs: number): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    // A failure is told as it is when this cannot be found out; it was only for an explanation.
    return killsTold(container, elapsedMs).catch(() => false);
  }

  /** Null when nothing can be counted: not even a small program runs where memory is full, or the container ended. */
  async #counted(container: DockerContainer): Promise<boolean | null> {
    const argv = ["/bin/sh", "-c", `cat ${COUNTERS.join(" ")} 2>/dev/null; exit 0`];
    const { stdout, exitCode } = await container.exec(argv, { timeoutMs: 10_000 });
    const counter = /^oom_kill (\d+)$/m.exec(stdout.toString("utf8"))?.[1];
    if (exitCode !== 0 || counter === undefined) return null;
    const kills = Number(counter);
    const before = this.#container === container.id ? this.#kills : 0;
    this.#container = container.id;
    this.#kills = kills;
    if (kills > before) return true;
    // A container that was started again counts from zero: it may have ended for this very reason.
    return kills < before || kills === 0 ? null : false;
  }
}

async function killsTold({ docker, id }: DockerContainer, elapsedMs: number): Promise<boolean> {
  const { SystemTime } = (await engineCall(docker, "tell its time", LOOK_MS, () => docker.info())) as {
    SystemTime: string;
  };
  // By the engine's clock, which may be another machine's.
  const now = Date.parse(SystemTime) / 1000;
  const since = Math.floor(now - elapsedMs / 1000 - 1);
  const filters = JSON.stringify({ container: [id], event: ["oom"] });
  const events = await engineCall(docker, "tell what happened to the sandbox", LOOK_MS, (abortSignal) =>
    docker.getEvents({ since, until: Math.floor(now) + 1, filters, abortSignal }),
  );
  for await (const chunk of events) if (String(chunk).trim() !== "") return true;
  return false;
}
