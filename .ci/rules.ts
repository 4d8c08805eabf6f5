/** The rules of the house that no general tool knows: import directions, sizes, names. Pure, so that they can be tested. */

export interface Problem {
  file: string;
  message: string;
}

const CODE = /\.(ts|tsx|mjs|cjs|js|css)$/;
const MAX_LINES = 400;
const WISHED_LINES = 250;
const MAX_FILES_PER_FOLDER = 14;
const DUMPING_PLACE = /^(utils?|helpers?|common|index|misc|shared)$/;

/** Files that hold a port and nothing else: what one area may know of another. */
const PORTS = [
  "main/session/ledger.ts",
  "main/session/catalog.ts",
  "main/session/live.ts",
  "main/session/records/records.ts",
  "main/session/records/record_table.ts",
  "main/session/records/removed_outputs.ts",
  "main/session/memories/stores.ts",
  "main/session/memories/memories.ts",
  "main/session/memories/versions.ts",
  "main/session/memories/tables.ts",
  "main/sandbox/port.ts",
  "main/sandbox/choice.ts",
  "main/sandbox/memory/port.ts",
  "main/sandbox/toolset/definitions.ts",
  "main/tools/mcp/port.ts",
  "main/harness/model.ts",
  "main/orchestration/port.ts",
  "main/orchestration/schedules/port.ts",
  "main/workers/port.ts",
];

/** What each area may import besides itself; `x:port` means the port files of `x` only. Other code under `main/` wires and may import all. */
const DIRECTIONS: Record<string, readonly string[]> = {
  contract: [],
  crash_points: [],
  config: ["contract", "crash_points"],
  parent_port: ["contract"],
  session: ["contract", "crash_points"],
  sandbox: ["contract", "crash_points"],
  tools: ["contract", "crash_points", "sandbox:port"],
  vault: ["contract", "parent_port"],
  harness: ["contract", "crash_points", "session:port", "sandbox:port", "tools:port"],
  orchestration: ["contract", "crash_points", "session:port", "harness", "sandbox:port", "tools:port"],
  workers: ["contract", "session:port"],
  api: ["contract", "session:port", "orchestration:port", "sandbox:port", "workers:port"],
  renderer: ["contract"],
  electron: ["contract", "config"],
};

/** Packages that an area may use; areas not named here may use any but `electron`. */
const PACKAGES: Record<string, (name: string) => boolean> = {
  contract: (name) => name === "zod" || name.startsWith("@anthropic-ai/sdk"),
  electron: () => true,
  renderer: (name) => !name.startsWith("node:") && name !== "electron" && name !== "better-sqlite3",
};

/** The only files that may touch Electron's raw channels: everything else goes through these two typed wrappers. */
const CHANNEL_WRAPPERS = ["electron/channels_main.ts", "electron/channels_preload.ts"];

/** Code that only tests load; it may import anything. */
export function isTestCode(file: string): boolean {
  return /^(e2e|bench|\.ci)\/|\.(test|spec)\.tsx?$|_suite\.ts$|\/testing\//.test(file);
}

function areaOf(file: string): string | null {
  const [top = "", second = "", ...rest] = file.split("/");
  if (top === "renderer" || top === "electron") return top;
  if (top !== "main") return null;
  if (rest.length > 0) return second;
  const name = second.replace(/\.ts$/, "");
  return name in DIRECTIONS ? name : null;
}

/** Every module named by a static or dynamic import of `text`. */
export function importsOf(text: string): string[] {
  const found: string[] = [];
  for (const pattern of [/^\s*(?:import|export)\b[^;"'`]*?\bfrom\s*"([^"]+)"/gm, /^\s*import\s*"([^"]+)"/gm]) {
    for (const match of text.matchAll(pattern)) found.push(match[1] ?? "");
  }
  for (const match of text.matchAll(/\bimport\(\s*"([^"]+)"/g)) found.push(match[1] ?? "");
  return found;
}

function resolve(file: string, target: string): string {
  const parts = file.split("/").slice(0, -1);
  for (const step of target.split("/")) {
    if (step === "..") parts.pop();
    else if (step !== ".") parts.push(step);
  }
  return parts.join("/");
}

function importProblem(file: string, target: string): string | null {
  const area = areaOf(file);
  if (!target.startsWith(".")) {
    const allowed = (area === null ? undefined : PACKAGES[area]) ?? ((name: string) => name !== "electron");
    return allowed(target) ? null : `${area ?? "this folder"} must not import the package "${target}"`;
  }
  const imported = resolve(file, target);
  const other = areaOf(imported);
  if (area === other) return null;
  const allowed = area === null ? undefined : DIRECTIONS[area];
  if (allowed === undefined) {
    return other === "electron" || other === "renderer" ? `nothing but ${other}/ imports ${other}/` : null;
  }
  if (other !== null && allowed.includes(other)) return null;
  if (other !== null && allowed.includes(`${other}:port`)) {
    if (PORTS.includes(imported)) return null;
    return `${area} may import port files of ${other} only, not ${imported}; compose.ts hands adapters in`;
  }
  return `${area} must not import ${imported} (allowed: ${allowed.join(", ") || "nothing"})`;
}

function textProblems(file: string, text: string): string[] {
  const problems: string[] = [];
  const lines = text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
  if (lines > MAX_LINES) problems.push(`${lines} lines; ${MAX_LINES} are the limit: split it`);
  if (file.startsWith(".ci/")) return problems;
  if (/^\s*export\s*\*/m.test(text)) problems.push("`export *` hides what a module offers: name the exports");
  if (/@ts-ignore|@ts-nocheck|biome-ignore/.test(text)) problems.push("a silenced check: fix its cause");
  if (/(\/\/|^\s*\*).*\b(TODO|FIXME|XXX)\b/m.test(text))
    problems.push("an open end in the code: do it, or write it down as an issue");
  if (!isTestCode(file) && !CHANNEL_WRAPPERS.includes(file) && /\bipc(Main|Renderer)\b/.test(text)) {
    problems.push(`raw Electron channels are used in ${CHANNEL_WRAPPERS.join(" and ")} only`);
  }
  return problems;
}

function nameProblems(file: string): string[] {
  const parts = file.split("/");
  const names = [...parts.slice(0, -1), (parts.at(-1) ?? "").replace(/\..*$/, "")];
  return names.filter((name) => DUMPING_PLACE.test(name)).map((name) => `"${name}" says nothing: name what is inside`);
}

/**
 * Checks every code file of `files` (path from the project's root → text).
 * @returns `problems` that fail the check, and `long`: files over the wished length, for information
 */
export function checkRules(files: ReadonlyMap<string, string>): { problems: Problem[]; long: string[] } {
  const problems: Problem[] = [];
  const long: string[] = [];
  const folders = new Map<string, number>();
  for (const [file, text] of files) {
    if (!CODE.test(file)) continue;
    const folder = file.split("/").slice(0, -1).join("/");
    folders.set(folder, (folders.get(folder) ?? 0) + 1);
    const messages = [...textProblems(file, text), ...nameProblems(file)];
    if (!isTestCode(file)) {
      for (const target of importsOf(text)) {
        const message = importProblem(file, target);
        if (message !== null) messages.push(message);
      }
    }
    for (const message of messages) problems.push({ file, message });
    const lines = text.split("\n").length - 1;
    if (lines > WISHED_LINES && lines <= MAX_LINES) long.push(`${file} (${lines})`);
  }
  for (const [folder, count] of folders) {
    if (folder !== "" && count > MAX_FILES_PER_FOLDER) {
      problems.push({
        file: folder,
        message: `${count} code files; ${MAX_FILES_PER_FOLDER} are the limit: make sub-folders`,
      });
    }
  }
  return { problems, long };
}
