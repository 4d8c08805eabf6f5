/** The files of an uploaded skill: paths that are safe on every disk, all below one folder, with a SKILL.md at its root. */
import { invalid } from "../../../contract/errors.ts";
import type { SkillFile } from "../../../contract/skills/session_skills.ts";

export const MAX_SKILL_BYTES = 30 * 1024 * 1024;
export const MAX_SKILL_FILES = 1000;
const MAX_PATH_BYTES = 512;
const MAX_PART_BYTES = 255;
/** What file managers add to folders and archives; no skill wants them. */
const LITTER = /(^|\/)(__MACOSX\/|\.DS_Store$)/;

export interface SkillTree {
  /** Name of the folder that the upload had. */
  folder: string;
  /** With paths relative to that folder. */
  files: SkillFile[];
  /** Bytes of SKILL.md. */
  manifest: Uint8Array;
}

/** Collects the files of an upload. */
export class SkillTreeBuilder {
  readonly #files = new Map<string, SkillFile>();
  /** Folded path → the path as it was given, of files and of folders. */
  readonly #places = new Map<string, { path: string; isFile: boolean }>();
  #bytes = 0;

  /** @throws ApiError 400 for a path that climbs, collides or is no path, and for too many or too large files */
  add(path: string, executable: boolean, bytes: Uint8Array): void {
    checkPath(path);
    if (LITTER.test(path)) return;
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_SKILL_BYTES) tooManyBytes();
    if (this.#files.size >= MAX_SKILL_FILES) tooManyFiles();
    const parts = path.split("/");
    for (let depth = 1; depth < parts.length; depth += 1) this.#take(parts.slice(0, depth).join("/"), false, path);
    this.#take(path, true, path);
    this.#files.set(path, { path, executable, bytes });
  }

  /** @throws ApiError 400 unless all files are below one folder that holds a SKILL.md */
  finish(): SkillTree {
    const [first] = this.#files.keys();
    if (first === undefined) invalid("`files` is required: the files of the skill, SKILL.md among them.");
    const folder = first.split("/")[0] ?? "";
    const files: SkillFile[] = [];
    for (const file of this.#files.values()) {
      if (!file.path.startsWith(`${folder}/`)) {
        invalid(
          `\`files\`: all files must be in one top-level folder, such as "my-skill/SKILL.md"; ${JSON.stringify(first)} and ${JSON.stringify(file.path)} are not.`,
        );
      }
      files.push({ ...file, path: file.path.slice(folder.length + 1) });
    }
    const manifest = files.find((file) => file.path === "SKILL.md");
    if (manifest === undefined)
      invalid(`\`files\`: there is no ${folder}/SKILL.md. Add it; its name is case-sensitive.`);
    return { folder, files, manifest: manifest.bytes };
  }

  /** Two names that a disk without case, or one that composes accents, takes for one would overwrite each other there. */
  #take(path: string, isFile: boolean, asked: string): void {
    const folded = path.normalize("NFC").toLowerCase();
    const known = this.#places.get(folded);
    if (known === undefined) this.#places.set(folded, { path, isFile });
    else if (isFile || known.isFile || known.path !== path) {
      const other = known.path === path ? "is given twice" : `collides with ${JSON.stringify(known.path)}`;
      invalid(`\`files\`: ${JSON.stringify(asked)} ${other}. Give each file a name of its own.`);
    }
  }
}

/** Where an upload carries no modes, a file that names its interpreter is meant to be run. */
export function isScript(bytes: Uint8Array): boolean {
  return bytes[0] === 0x23 && bytes[1] === 0x21;
}

export function tooManyBytes(): never {
  invalid(`\`files\`: a skill may have at most ${MAX_SKILL_BYTES / 1024 / 1024} MB, unpacked.`);
}

export function tooManyFiles(): never {
  invalid(`\`files\`: a skill may have at most ${MAX_SKILL_FILES} files.`);
}

/** Applies to a file's path or, in an archive, to a folder's. @throws ApiError 400 */
export function checkPath(path: string): void {
  const refuse = (why: string): never =>
    invalid(
      `\`files\`: ${JSON.stringify(path.slice(0, 200))} ${why}. Name files by their path from the skill's folder on, such as "my-skill/SKILL.md".`,
    );
  if (path === "") refuse("is no file name");
  if (path.startsWith("/") || /^[A-Za-z]:/.test(path)) refuse("is an absolute path");
  if (path.includes("\\")) refuse("contains a backslash");
  // The replacement character stands for bytes that are no UTF-8.
  if (/[\p{Cc}\ufffd]/u.test(path) || !path.isWellFormed()) refuse("contains characters that are no text");
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) refuse(`is longer than ${MAX_PATH_BYTES} bytes`);
  for (const part of path.split("/")) {
    if (part === "" || part === "." || part === "..") refuse("contains an empty, . or .. part");
    if (Buffer.byteLength(part) > MAX_PART_BYTES) refuse(`has a part that is longer than ${MAX_PART_BYTES} bytes`);
  }
}
