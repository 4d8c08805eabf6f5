/** Names by which the model calls the tools of MCP servers. */
import { createHash } from "node:crypto";

/** What endpoints of all makers take. */
const MOST_CHARS = 64;
const HASH_CHARS = 8;

/**
 * A name for each tool, in the same order: `mcp__<server>__<tool>` in the characters that the Messages API takes. It depends
 * on nothing but the names, so that it stays the same from turn to turn; a name that had to be changed or is taken ends
 * in a hash of the real one.
 * @param taken names that other tools of the thread have
 */
export function modelNames(server: string, tools: readonly { name: string }[], taken: ReadonlySet<string>): string[] {
  const used = new Set(taken);
  return tools.map(({ name }) => {
    const plain = `mcp__${server}__${name}`;
    const clean = plain.replace(/[^A-Za-z0-9_-]/g, "_");
    let chosen = clean;
    if (clean !== plain || clean.length > MOST_CHARS || used.has(clean)) {
      const hash = createHash("sha256")
        .update(JSON.stringify([server, name]))
        .digest("hex");
      chosen = `${clean.slice(0, MOST_CHARS - HASH_CHARS - 1)}_${hash.slice(0, HASH_CHARS)}`;
    }
    used.add(chosen);
    return chosen;
  });
}
