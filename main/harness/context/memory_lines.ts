/** What the model is told of the memory stores that are mounted: bytes that are the same in every request of a session. */
import type { SessionResource } from "../../contract/events.ts";

const ABOUT =
  "Memory stores are folders of text files that outlast this session; others may change them while you work. What you " +
  "change in one that you may write to is saved by itself after your tool calls (regular UTF-8 files of at most 102400 " +
  "bytes; no links, and no way to keep what is larger). Look into them before you start, and keep there what a later " +
  "session should know.";

/** Lines for the system prompt; none when no store is mounted. */
export function memoryLines(resources: readonly SessionResource[]): string[] {
  const lines: string[] = [];
  for (const resource of resources) {
    if (resource.type !== "memory_store" || resource.mount_path == null) continue;
    const access = resource.access === "read_only" ? "read-only" : "you may write to it";
    lines.push(`Memory store ${JSON.stringify(resource.name ?? "")} is at ${resource.mount_path} (${access}).`);
    if (resource.description) lines.push(`  What it holds: ${resource.description}`);
    if (resource.instructions) lines.push(`  How to use it: ${resource.instructions}`);
  }
  return lines.length === 0 ? [] : [ABOUT, ...lines];
}
