/** Memories as the sandbox's synchronisation needs them: the engine's records, changed in the name of a session. */
import { ApiError } from "../contract/errors.ts";
import type { MemorySource, PushOutcome } from "../sandbox/memory/port.ts";
import { Memories } from "../session/memories/memories.ts";
import { MemoryStores } from "../session/memories/stores.ts";
import type { Records } from "../session/records/records.ts";

/**
 * @param scrub what is kept of a text that comes from a sandbox
 * @param now milliseconds since the epoch
 */
export function memorySource(
  records: Records,
  scrub: (text: string) => string = (text) => text,
  now: () => number = Date.now,
): MemorySource {
  const stores = new MemoryStores(records, now);
  const memories = new Memories(records, now);
  const actor = (session_id: string) => ({ type: "session_actor" as const, session_id });
  return {
    look: async (storeId) => {
      try {
        const { archived_at } = await stores.get(storeId);
        const rows = await memories.list(storeId);
        const heads = rows.map(({ id, path, content_sha256 }) => ({ id, path, sha256: content_sha256 }));
        return { archived: archived_at !== null, heads };
      } catch (error) {
        return absent(error);
      }
    },
    read: async (storeId, memoryId) => {
      try {
        const { content, content_sha256 } = await memories.getFull(storeId, memoryId);
        return { content, sha256: content_sha256 };
      } catch (error) {
        return absent(error);
      }
    },
    create: (storeId, sessionId, path, content) =>
      outcome(memories.create(storeId, path, scrub(content), actor(sessionId)), path),
    update: (storeId, sessionId, memoryId, content, expected_sha256) =>
      outcome(memories.update(storeId, memoryId, { content: scrub(content), expected_sha256 }, actor(sessionId)), null),
    delete: (storeId, sessionId, memoryId, expected) =>
      outcome(memories.delete(storeId, memoryId, expected, actor(sessionId)), null),
  };
}

function absent(error: unknown): null {
  if (error instanceof ApiError && error.type === "not_found_error") return null;
  throw error;
}

/** @param path of a memory that is made */
async function outcome(change: Promise<unknown>, path: string | null): Promise<PushOutcome> {
  try {
    await change;
    return { kind: "done" };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.type === "memory_path_conflict_error" && error.fields["conflicting_path"] !== path) {
      return { kind: "refused", reason: `its path overlaps the memory ${error.fields["conflicting_path"]}` };
    }
    if (error.type === "invalid_request_error") return { kind: "refused", reason: error.message.replace(/\.$/, "") };
    return { kind: "changed" };
  }
}
