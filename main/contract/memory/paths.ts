/** Paths of memories: what one may be, how two of them collide, and where a store is mounted (contract.md §3.8). */

/** Bytes of one memory's content. */
export const MAX_MEMORY_BYTES = 102_400;
/** Memories of one store. */
export const MAX_MEMORIES = 2000;
/** Memory stores that one session can have. */
export const MAX_MOUNTED_STORES = 8;
/** Folder of the sandbox that every store is mounted below. */
export const MEMORY_ROOT = "/mnt/memory";

const MAX_PATH_BYTES = 1024;
const MAX_SEGMENTS = 20;
/** Longer names of folders are refused by file systems; the rest is for what makes a name unique. */
const MAX_SLUG = 240;

const encoder = new TextEncoder();

/** Length of a text in UTF-8. */
export function utf8Bytes(text: string): number {
  return encoder.encode(text).byteLength;
}

/** What is wrong with the path of a memory, as the end of a sentence ("must …"); null when nothing is. */
export function memoryPathProblem(path: string): string | null {
  if (!path.startsWith("/")) return 'must start with "/", for example /notes/todo.md';
  if (!path.isWellFormed()) return "must be valid Unicode text";
  if (utf8Bytes(path) > MAX_PATH_BYTES) return `must have at most ${MAX_PATH_BYTES} bytes`;
  if (/[\p{Cc}\p{Cf}\u2028\u2029]/u.test(path)) {
    return "must not contain control characters, format characters or line separators";
  }
  if (path.normalize("NFC") !== path) return "must be in Unicode Normalization Form C";
  const segments = path.slice(1).split("/");
  if (segments.length > MAX_SEGMENTS) return `must have at most ${MAX_SEGMENTS} segments`;
  if (segments.includes("")) return "must not contain empty segments or end with a slash";
  if (segments.some((segment) => segment === "." || segment === "..")) return 'must not contain "." or ".." segments';
  return null;
}

/** `/a/b/c` → `/a`, `/a/b`: paths that cannot be memories beside it. */
export function ancestorsOf(path: string): string[] {
  const segments = path.slice(1).split("/");
  return segments.slice(0, -1).map((_, index) => `/${segments.slice(0, index + 1).join("/")}`);
}

/** The mount path of a store by its name: not one of `taken`. */
export function memoryMountPath(name: string, taken: ReadonlySet<string>): string {
  const slug = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, MAX_SLUG);
  for (let count = 1; ; count += 1) {
    const path = `${MEMORY_ROOT}/${count === 1 ? slug : `${slug}-${count}`}`;
    if (!taken.has(path)) return path;
  }
}
