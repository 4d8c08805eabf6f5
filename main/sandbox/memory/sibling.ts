/** Where the agent's text of a conflict goes. */
import { utf8Bytes } from "../../contract/memory/paths.ts";

/** File systems hold no longer names. */
const MAX_NAME_BYTES = 255;
const MAX_PATH_BYTES = 1024;

/**
 * `/a/notes.md` → `/a/notes.conflict-1a2b3c4d.md`: the same for the same text, so that doing it again after a crash does
 * nothing more. Null where no such path can be made.
 */
export function siblingOf(path: string, sha256: string): string | null {
  const slash = path.lastIndexOf("/");
  const [folder, name] = [path.slice(0, slash + 1), path.slice(slash + 1)];
  const dot = name.lastIndexOf(".");
  const [stem, ending] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
  const mark = `.conflict-${sha256.slice(0, 8)}`;
  const room = Math.min(MAX_NAME_BYTES, MAX_PATH_BYTES - utf8Bytes(folder)) - utf8Bytes(mark + ending);
  if (room < 1) return null;
  let kept = "";
  for (const character of stem) {
    if (utf8Bytes(kept + character) > room) break;
    kept += character;
  }
  return kept === "" ? null : (folder + kept + mark + ending).normalize("NFC");
}
