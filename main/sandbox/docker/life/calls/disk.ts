/** Tells whether a call failed because a disk of its sandbox is full: such a call often cannot even say so. */
import { setTimeout as sleep } from "node:timers/promises";
import type { DockerContainer } from "../../container/container.ts";

const SUSPICIOUS = /ENOSPC|no space left|disk (is )?full|quota exceeded|could not record/i;
/** A failure that says so little may be one whose words could not be kept. */
const SHORT = 20;
/** KiB; less is as good as nothing. */
const NOTHING = 1024;
const TIMEOUT_MS = 5000;

/** Free KiB. */
interface Free {
  disk: number;
  tmp: number;
}

/** What to add to `text`, a failure's, when a disk is full; null when none is or nobody can tell. Never rejects. */
export async function diskFullText(container: DockerContainer, text: string): Promise<string | null> {
  if (text.length > SHORT && !SUSPICIOUS.test(text)) return null;
  const free = await Promise.race([freeSpace(container).catch(() => null), sleep(TIMEOUT_MS, null, { ref: false })]);
  if (free === null) return null;
  if (free.disk < NOTHING) {
    return (
      `The sandbox's disk is full: ${free.disk} KB are free, so output and files could not be written whole. Remove files in ` +
      "the sandbox that are not needed, or free space on the machine, where the container engine keeps its data; then try " +
      "again."
    );
  }
  if (free.tmp < NOTHING && SUSPICIOUS.test(text)) {
    return `/tmp is full: ${free.tmp} KB are free. It is kept in memory; remove files from it, or use /workspace.`;
  }
  return null;
}

async function freeSpace(container: DockerContainer): Promise<Free | null> {
  const argv = ["/bin/sh", "-c", "df -Pk / | tail -n 1; df -Pk /tmp | tail -n 1"];
  const { stdout } = await container.exec(argv, { timeoutMs: TIMEOUT_MS });
  const [disk, tmp] = stdout
    .toString("utf8")
    .split("\n")
    .map((line) => /^.*? +\d+ +\d+ +(\d+) +\d+% /.exec(line)?.[1]);
  return disk === undefined || tmp === undefined ? null : { disk: Number(disk), tmp: Number(tmp) };
}
