/** What the model and the person are told when something of a sandbox was lost. */

const AFRESH =
  "The next call starts with a fresh, empty sandbox: attached files and repositories are brought in again.";

/** Of a sandbox that is gone without a checkpoint, found when it was needed. */
export function lostText(): string {
  return (
    "The sandbox's container was removed and its files with it; there was no checkpoint to rebuild it from. " +
    `Nothing was run now. ${AFRESH}`
  );
}

/** Of a sandbox that is found gone when a call reaches for it. @param takenAt of the last checkpoint, ISO 8601 */
export function removedText(takenAt: string | null): string {
  if (takenAt === null) return lostText();
  return (
    "The sandbox's container was removed from outside. Nothing was run now. The next call rebuilds it from the checkpoint " +
    `taken at ${takenAt}; what changed since then is lost.`
  );
}

export function startedAfreshNotice(): string {
  return (
    "The earlier sandbox was removed and there was no checkpoint: this is a fresh one. All files, running processes and " +
    "shell state of before are lost; attached files and repositories were brought in again"
  );
}

export function restoredNotice(takenAt: string): string {
  return (
    `The sandbox was removed and has been rebuilt from a checkpoint taken at ${takenAt}. Changes since then, running ` +
    "processes, everything in /tmp and the shell's unsaved state are lost"
  );
}

export function restartedNotice(oomKilled: boolean, memoryBytes: number): string {
  const why = oomKilled ? ` (it ran out of memory: its limit is ${mebibytes(memoryBytes)})` : "";
  return (
    `The sandbox had stopped${why} and was started again. Its files are kept; processes that were running and everything ` +
    "in /tmp are lost"
  );
}

/** Of a command, or a process of it, that the kernel killed for its memory. */
export function outOfMemoryText(memoryBytes: number): string {
  return (
    `The sandbox ran out of memory: its limit is ${mebibytes(memoryBytes)}, and the system killed a process that was over it. ` +
    "Use less memory (fewer parallel jobs, smaller pieces), or raise `longhaul.memory` in the environment's metadata for a " +
    "new session."
  );
}

export function mebibytes(bytes: number): string {
  const gib = bytes / 1024 ** 3;
  return gib >= 1 ? `${Number(gib.toFixed(2))} GiB` : `${Math.round(bytes / 1024 ** 2)} MiB`;
}

/** How the container ended, for the timeline. */
export function deathText(oomKilled: boolean, exitCode: number): string {
  if (oomKilled) return "it had run out of memory";
  return exitCode === 137 ? "it had been killed" : `it had ended with code ${exitCode}`;
}
