/** Which mounts of an embedded sandbox are read-only, written down for its host where the agent cannot reach. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import type { MemoryMount } from "../../memory/port.ts";
import { makeFolder, type SandboxLayout } from "../layout.ts";

/** Before the host starts; the stores of a session never change. Makes their folders. */
export function writeReadOnlyMounts(layout: SandboxLayout, mounts: readonly MemoryMount[]): void {
  const paths = mounts.filter((mount) => mount.read_only).map((mount) => mount.path);
  if (paths.length === 0) return;
  mkdirSync(layout.memory, { recursive: true, mode: 0o700 });
  writeFileSync(`${layout.readOnlyFile}.tmp`, JSON.stringify(paths), { mode: 0o600 });
  renameSync(`${layout.readOnlyFile}.tmp`, layout.readOnlyFile);
  for (const path of paths) makeFolder(layout.root, path);
}

/** Empty when the session has none. */
export function readOnlyMounts(layout: SandboxLayout): string[] {
  try {
    const paths: unknown = JSON.parse(readFileSync(layout.readOnlyFile, "utf8"));
    return Array.isArray(paths) ? paths.filter((path) => typeof path === "string") : [];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}
