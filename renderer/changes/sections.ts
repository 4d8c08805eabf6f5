/** Cuts a patch of many files into its files without reading their lines: those are parsed when somebody looks. */
import { type PatchFile, parsePatch } from "../format/patch.ts";

const START = "diff --git ";

/** Path → text of the file's part of the patch. Never throws; what comes before the first file is left out. */
export function sectionsOf(patch: string): Map<string, string> {
  const sections = new Map<string, string>();
  let from = patch.startsWith(START) ? 0 : after(patch, 0);
  while (from !== -1) {
    const next = after(patch, from);
    const section = next === -1 ? patch.slice(from) : patch.slice(from, next);
    sections.set(pathOf(section), section);
    from = next;
  }
  return sections;
}

/** Where the next file begins. Lines of content have a sign in front, so no content can look like a beginning. */
function after(patch: string, from: number): number {
  const at = patch.indexOf(`\n${START}`, from);
  return at === -1 ? -1 : at + 1;
}

function pathOf(section: string): string {
  const content = section.search(/\n(?:@@ |GIT binary patch)/);
  return parsePatch(content === -1 ? section : section.slice(0, content))[0]?.path ?? "";
}

/** The parsed file of one section; null where there is no text to compare. */
export function parseSection(section: string | undefined): PatchFile | null {
  if (section === undefined || section.includes("\nGIT binary patch")) return null;
  return parsePatch(section)[0] ?? null;
}
