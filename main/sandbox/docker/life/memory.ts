/** Tells whether the kernel killed a process of a container for its memory while the container went on. */
import type { Container } from "../ports.ts";

/** Kernels count the kills in one of these files, depending on the version of control groups. */
const COUNTERS = ["/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"];
/** What a failed command says when a process of it was killed, or could not get memory. */
const SUSPICIOUS =
  /\b137\b|\bkilled\b|SIGKILL|signal 9|out of memory|cannot allocate memory|MemoryError|bad_alloc|ENOMEM/i;

export class MemoryWatch {
  #container = "";
  #kills = 0;

  /** True when `text`, a failure's, may come from a kill and there were kills since the last question. Never rejects. */
  async killed(container: Container, text: string): Promise<boolean> {
    if (!SUSPICIOUS.test(text)) return false;
    try {
      const { stdout } = await container.exec(["/bin/sh", "-c", `cat ${COUNTERS.join(" ")} 2>/dev/null; exit 0`], {
        timeoutMs: 10_000,
      });
      const kills = Number(/^oom_kill (\d+)$/m.exec(stdout.toString("utf8"))?.[1] ?? 0);
      const before = this.#container === container.id ? this.#kills : 0;
      this.#container = container.id;
      this.#kills = kills;
      // A container that was started again counts from zero.
      return kills > before || (kills > 0 && kills < before);
    } catch {
      // The failure is told as it is; the question was only for an explanation.
      return false;
    }
  }
}
