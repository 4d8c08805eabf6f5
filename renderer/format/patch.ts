/** Reads a unified diff (`git diff`) into files, hunks and numbered lines for display. */

export interface PatchLine {
  kind: "context" | "added" | "removed" | "note";
  text: string;
  /** Line numbers before and after; null where the line does not exist on that side. */
  before: number | null;
  after: number | null;
}

export interface PatchHunk {
  header: string;
  lines: PatchLine[];
}

export interface PatchFile {
  /** The path after the change, or before it for a deletion. */
  path: string;
  hunks: PatchHunk[];
  /** Lines such as `new file mode 100644` or `Binary files … differ`. */
  notes: string[];
}

const HUNK = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/;

/** Never throws; what is not understood is kept as a note. */
export function parsePatch(patch: string): PatchFile[] {
  const files: PatchFile[] = [];
  let file: PatchFile | null = null;
  let hunk: PatchHunk | null = null;
  let before = 0;
  let after = 0;
  let left = { before: 0, after: 0 };
  const lines = patch.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    if (hunk !== null && (left.before > 0 || left.after > 0 || line.startsWith("\\"))) {
      const mark = line[0] ?? " ";
      const text = line.slice(1);
      if (mark === "\\") hunk.lines.push({ kind: "note", text: text.trim(), before: null, after: null });
      else if (mark === "+") {
        hunk.lines.push({ kind: "added", text, before: null, after: after++ });
        left.after -= 1;
      } else if (mark === "-") {
        hunk.lines.push({ kind: "removed", text, before: before++, after: null });
        left.before -= 1;
      } else {
        hunk.lines.push({ kind: "context", text, before: before++, after: after++ });
        left = { before: left.before - 1, after: left.after - 1 };
      }
      continue;
    }
    const match = HUNK.exec(line);
    if (match !== null && file !== null) {
      before = Number(match[1]);
      after = Number(match[3]);
      left = { before: Number(match[2] ?? 1), after: Number(match[4] ?? 1) };
      hunk = { header: line, lines: [] };
      file.hunks.push(hunk);
      continue;
    }
    hunk = null;
    if (line.startsWith("diff --git ")) {
      file = { path: pathOfHeader(line), hunks: [], notes: [] };
      files.push(file);
    } else if (file !== null) header(file, line);
  }
  return files;
}

function header(file: PatchFile, line: string): void {
  if (line.startsWith("+++ ") || line.startsWith("--- ")) {
    const path = unquote(line.slice(4).replace(/\t.*$/, ""));
    if (path !== "/dev/null") file.path = path.replace(/^[ab]\//, "");
  } else if (line.startsWith("rename to ")) file.path = unquote(line.slice(10));
  else if (line !== "" && !line.startsWith("index ")) file.notes.push(line);
}

function pathOfHeader(line: string): string {
  const rest = line.slice("diff --git ".length);
  const quoted = / ("b\/.*")$/.exec(rest);
  if (quoted?.[1] !== undefined) return unquote(quoted[1]).replace(/^b\//, "");
  const at = rest.lastIndexOf(" b/");
  return at === -1 ? rest : rest.slice(at + 3);
}

/** Git quotes unusual names as C strings with octal bytes. */
function unquote(name: string): string {
  if (!name.startsWith('"') || !name.endsWith('"')) return name;
  const out: number[] = [];
  const encoder = new TextEncoder();
  const escapes: Record<string, number> = { n: 10, t: 9, r: 13, '"': 34, "\\": 92 };
  const body = name.slice(1, -1);
  for (let i = 0; i < body.length; i++) {
    const char = body[i] ?? "";
    if (char !== "\\") {
      out.push(...encoder.encode(char));
      continue;
    }
    const octal = /^[0-7]{3}/.exec(body.slice(i + 1));
    if (octal !== null) {
      out.push(Number.parseInt(octal[0], 8));
      i += 3;
    } else {
      i += 1;
      out.push(escapes[body[i] ?? ""] ?? 63);
    }
  }
  return new TextDecoder().decode(Uint8Array.from(out));
}
