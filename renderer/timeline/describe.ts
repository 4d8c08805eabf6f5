/** One line for a tool call: what a person would say it does. */
import { describeInput } from "../../main/contract/fold_calls.ts";
import { countLines, firstLine, isBlob } from "./content.ts";

/** Sandboxes keep the work in /workspace: a path below it is shown as the person knows it. */
export function relativePath(path: string): string {
  return path.replace(/^\/workspace\//, "");
}

function text(value: unknown): string {
  return typeof value === "string" ? value : isBlob(value) ? value.preview : "";
}

/** Describes the input of a call; falls back to its first short values. */
export function describeCall(name: string, input: Record<string, unknown>): string {
  const path = relativePath(text(input.file_path) || text(input.path));
  switch (name) {
    case "bash":
      return input.restart === true && !input.command ? "restart the shell" : firstLine(text(input.command));
    case "read": {
      const range = Array.isArray(input.view_range) ? input.view_range.map(Number) : [];
      const [from, to] = range;
      return from === undefined ? path : `${path}  lines ${from}–${to !== undefined && to > 0 ? to : "end"}`;
    }
    case "write":
    case "edit":
      return path;
    case "grep":
    case "glob":
      return [firstLine(text(input.pattern)), path === "" ? "" : `in ${path}`].filter(Boolean).join("  ");
    case "send_to_agent":
      return `to ${text(input.agent)}: ${firstLine(text(input.message))}`;
    default: {
      const main = firstLine(describeInput(input));
      if (main !== "") return main;
      return firstLine(
        Object.entries(input)
          .filter(([, value]) => ["string", "number", "boolean"].includes(typeof value))
          .map(([key, value]) => `${key}: ${String(value).slice(0, 80)}`)
          .join(", "),
      );
    }
  }
}

/** Lines that an edit or a write adds and removes; null for other tools. Common first and last lines do not count. */
export function lineDelta(name: string, input: Record<string, unknown>): { added: number; removed: number } | null {
  if (name === "write") {
    const content = text(input.content);
    return content === "" ? null : { added: countLines(content), removed: 0 };
  }
  if (name !== "edit") return null;
  const before = text(input.old_string).split("\n");
  const after = text(input.new_string).split("\n");
  let head = 0;
  while (head < before.length && head < after.length && before[head] === after[head]) head += 1;
  let tail = 0;
  while (
    tail < before.length - head &&
    tail < after.length - head &&
    before[before.length - 1 - tail] === after[after.length - 1 - tail]
  ) {
    tail += 1;
  }
  return { added: after.length - head - tail, removed: before.length - head - tail };
}

/** The exit code that the text of a failed command ends with, if it names one. */
export function exitCode(output: string): number | null {
  const match = /(?:^|\n)\s*\[?(?:exit|exit code|exited with code)[ :]+(\d{1,3})\]?\s*$/i.exec(output.slice(-200));
  return match?.[1] === undefined ? null : Number(match[1]);
}
