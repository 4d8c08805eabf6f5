/** The diffs of many files as one list of lines, for a list that draws only what is on screen. */
import type { ChangedFile } from "../../main/contract/local_api.ts";
import type { PatchFile, PatchLine } from "../format/patch.ts";
import { parseSection } from "./sections.ts";

export type DiffItem =
  | { kind: "file"; id: string; file: ChangedFile; open: boolean }
  | { kind: "hunk"; id: string; file: ChangedFile; text: string }
  | { kind: "line"; id: string; file: ChangedFile; line: PatchLine }
  | { kind: "note"; id: string; file: ChangedFile; text: string };

/** Changed lines that are unfolded at first: more would take long to read, for the page and for the person. */
const OPEN_LINES = 60_000;

/** Files that begin folded, because those before them are already more than anybody reads at once. */
export function foldedAtFirst(files: readonly ChangedFile[]): ReadonlySet<string> {
  const folded = new Set<string>();
  let lines = 0;
  for (const file of files) {
    lines += file.additions + file.deletions;
    if (lines > OPEN_LINES) folded.add(file.path);
  }
  return folded;
}

/** Parses each file's part of the patch when it is first needed, and flattens what is unfolded. */
export class FlatDiff {
  readonly #files: readonly ChangedFile[];
  readonly #sections: ReadonlyMap<string, string>;
  readonly #items = new Map<string, DiffItem[]>();

  constructor(files: readonly ChangedFile[], sections: ReadonlyMap<string, string>) {
    this.#files = files;
    this.#sections = sections;
  }

  items(folded: ReadonlySet<string>): DiffItem[] {
    const out: DiffItem[] = [];
    for (const file of this.#files) {
      const open = !folded.has(file.path);
      out.push({ kind: "file", id: file.path, file, open });
      // Spreading a file of a hundred thousand lines into arguments would overflow the stack.
      if (open) for (const item of this.#content(file)) out.push(item);
    }
    return out;
  }

  #content(file: ChangedFile): DiffItem[] {
    const known = this.#items.get(file.path);
    if (known !== undefined) return known;
    const items = contentOf(file, file.binary ? null : parseSection(this.#sections.get(file.path)));
    this.#items.set(file.path, items);
    return items;
  }
}

/** Why there are no lines to show. */
export function withoutLines(file: ChangedFile, patch: PatchFile | null): string {
  if (file.binary) return "A binary file: it is not shown, and comes along when you bring the changes back.";
  const notes = patch?.notes.join(", ") ?? "";
  if (notes !== "") return notes;
  return file.additions + file.deletions === 0 ? "No text is in it." : "Its lines are not part of this patch.";
}

function contentOf(file: ChangedFile, patch: PatchFile | null): DiffItem[] {
  if (patch === null || patch.hunks.length === 0) {
    return [{ kind: "note", id: `${file.path} note`, file, text: withoutLines(file, patch) }];
  }
  const items: DiffItem[] = [];
  for (const [index, hunk] of patch.hunks.entries()) {
    items.push({ kind: "hunk", id: `${file.path} ${index}`, file, text: hunk.header });
    for (const [at, line] of hunk.lines.entries()) {
      items.push({ kind: "line", id: `${file.path} ${index} ${at}`, file, line });
    }
  }
  return items;
}
