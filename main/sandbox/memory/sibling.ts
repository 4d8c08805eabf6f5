/** What file systems take as names, and where the agent's text of a conflict goes. */
import { utf8Bytes } from "../../contract/memory/paths.ts";
import type { MemoryHead } from "./port.ts";

/** File systems hold no longer names. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 1024;

/** False when a file system would not take the path of a memory, because one of its segments is too long for a name. */
export function isFileName(path: string): boolean {
  return path.split("/").every((segment) => utf8Bytes(segment) <= MAX_NAME_BYTES);
}

/**
 * `/a/notes.md` → `/a/notes.conflict-1a2b3c4d.md`: the same for the same text, so that doing it again after a crash does
 * nothing more; longer when a memory with another text has that path. Null where no such path can be made.
 */
export function siblingOf(path: string, sha256: string, heads: readonly MemoryHead[]): string | null {
  const others = new Set(heads.filter((head) => head.sha256 !== sha256).map((head) => head.path));
  for (const digits of [8, 16, 32, 64]) {
    const sibling = markedPath(path, `.conflict-${sha256.slice(0, digits)}`);
    if (sibling === null || !others.has(sibling)) return sibling;
  }
  return null;
}

function markedPath(path: string, mark: string): string | null {
  const slash = path.lastIndexOf("/");
  const [folder, name] = [path.slice(0, slash + 1), path.slice(slash + 1)];
  const dot = name.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const room = Math.min(MAX_NAME_BYTES, MAX_PATH_BYTES - utf8Bytes(folder)) - utf8Bytes(mark + ending);
  if (room < 1) return null;
  let kept = "";
  for (const character of stem) {
    if (utf8Bytes(kept + character) > room) break;
    kept += character;
  }
  return kept === "" ? null : (folder + kept + mark + ending).normalize("NFC");
}
