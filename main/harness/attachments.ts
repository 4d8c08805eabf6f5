/** What a session has attached, as its hands need to know it. */
import type { SessionFold } from "../contract/fold.ts";
import { unpackSkill } from "../contract/skills/skill_pack.ts";
import type { SkillMount } from "../sandbox/port.ts";
import type { BlobStore } from "../session/catalog.ts";

/** The same as long as nothing was attached or removed. */
export function attachedKey(fold: SessionFold): string {
  const ids = fold.resources.map((resource) => ("id" in resource ? resource.id : resource.memory_store_id));
  return `${ids.join()};${fold.detached?.length ?? 0}`;
}

/** The session's skills; their bytes are found by hash, also when the skill itself was deleted. */
export function skillMounts(fold: SessionFold, blobs: BlobStore): SkillMount[] {
  return (fold.skills ?? []).map(({ version, name, path, sha256 }) => {
    return { id: version, name, path, read: async () => unpackSkill(await blobs.get(sha256)) };
  });
}
