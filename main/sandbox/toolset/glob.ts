/** `glob`: finds files by name. */
import { matchesGlob } from "node:path/posix";
import type { Machine, WalkEntry } from "../machine.ts";
import { ToolFailure } from "../port.ts";
import { fileFailure, ToolInput } from "./input.ts";

const MAX_RESULTS = 200;

export async function glob(input: unknown, machine: Machine, signal: AbortSignal): Promise<string> {
  const fields = new ToolInput("glob", input);
  const pattern = fields.required("pattern");
  const path = fields.text("path") ?? "";
  if (pattern.startsWith("/")) {
    throw new ToolFailure("glob: absolute pattern not permitted; pass a relative pattern (and optionally path)");
  }
  if (pattern.split(/[\\/{},]/).includes("..")) throw new ToolFailure('glob: ".." is not permitted in the pattern');
  try {
    const root = await machine.resolve(path === "" ? "." : path);
    if ((await machine.stat(root)).kind !== "directory") throw new ToolFailure(`glob: ${path} is not a directory`);
    const found: WalkEntry[] = [];
    const { folder, rest } = splitPattern(pattern);
    const start = folder === "" ? root : await machine.resolve(`${root}/${folder}`);
    for await (const entry of machine.walk(start, signal)) {
      if (matchesGlob(entry.path.slice(start.length + 1), rest)) found.push(entry);
    }
    if (found.length === 0) return "no matches";
    found.sort((a, b) => b.mtime_ms - a.mtime_ms || (a.path < b.path ? -1 : 1));
    return found
      .slice(0, MAX_RESULTS)
      .map((entry) => entry.path)
      .join("\n");
  } catch (error) {
    const failure = fileFailure("glob", path === "" ? pattern : path, error);
    // A folder that the pattern names and that is not there is a pattern without matches.
    if (path === "" && failure.message.endsWith("no such file or directory")) return "no matches";
    throw failure;
  }
}

/** The literal folders at the start of a pattern, so that only what is below them is walked, and what is left. */
function splitPattern(pattern: string): { folder: string; rest: string } {
  const parts = pattern.replace(/^(\.\/)+/, "").split("/");
  const literal = parts.findIndex((part) => /[*?[\]{}!\\()+@]/.test(part));
  const depth = literal < 0 ? parts.length - 1 : literal;
  return { folder: parts.slice(0, depth).join("/"), rest: parts.slice(depth).join("/") };
}
