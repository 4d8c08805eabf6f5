/** `grep`: finds lines that match a regular expression. */
import { type Machine, OUTPUT_LIMIT } from "../machine.ts";
import { ToolFailure } from "../port.ts";
import { decodeText } from "../text.ts";
import { type LineMatcher, lineMatcher } from "./grep_matcher.ts";
import { fileFailure, ToolInput } from "./input.ts";

const TIMEOUT_MS = 60_000;
const MAX_PARALLEL = 4;
/** Longer lines are skipped: minified code is not what anybody looks for, and patterns backtrack on them. */
const MAX_LINE_LENGTH = 2000;
/** Larger files are data, not text that a person wrote. */
const MAX_FILE_BYTES = 32 * 1024 * 1024;
/** Lines per message to the matcher. */
const BATCH = 5000;

let running = 0;
const waiting: (() => void)[] = [];

export async function grep(input: unknown, machine: Machine, signal: AbortSignal): Promise<string> {
  const fields = new ToolInput("grep", input);
  const pattern = fields.required("pattern");
  const path = fields.text("path") ?? "";
  try {
    new RegExp(pattern);
  } catch (error) {
    throw new ToolFailure(`grep: invalid regex: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (running >= MAX_PARALLEL) await new Promise<void>((resolve) => waiting.push(resolve));
  running += 1;
  const timeout = AbortSignal.timeout(TIMEOUT_MS);
  const matcher = lineMatcher(pattern, AbortSignal.any([signal, timeout]));
  const hits = new Hits();
  try {
    const root = await machine.resolve(path === "" ? "." : path);
    await machine.stat(root);
    for await (const entry of machine.walk(root, matcher.signal)) {
      if (!(await searchFile(entry.path, machine, matcher, hits))) break;
    }
    // A walk that was stopped just ends: whether that was the end of the tree is asked here.
    matcher.signal.throwIfAborted();
    return hits.text();
  } catch (error) {
    if (signal.aborted) throw new ToolFailure("grep: aborted");
    if (!timeout.aborted) throw fileFailure("grep", path === "" ? "." : path, error);
    if (hits.count === 0) throw new ToolFailure(`grep: timed out after ${TIMEOUT_MS / 1000}s`);
    return `${hits.text()}\n[the search was cut short after ${TIMEOUT_MS} ms]`;
  } finally {
    matcher.end();
    running -= 1;
    waiting.shift()?.();
  }
}

class Hits {
  readonly #lines: string[] = [];
  #left = OUTPUT_LIMIT;

  get count(): number {
    return this.#lines.length;
  }

  /** False when the output is full. */
  add(line: string): boolean {
    this.#left -= Buffer.byteLength(line) + 1;
    this.#lines.push(this.#left < 0 ? `[output truncated at ${OUTPUT_LIMIT} bytes]` : line);
    return this.#left >= 0;
  }

  text(): string {
    return this.#lines.length === 0 ? "no matches" : this.#lines.join("\n");
  }
}

/** Adds the matches of one file; false when no more are wanted. Files that cannot be read or are binary are passed over. */
async function searchFile(path: string, machine: Machine, matcher: LineMatcher, hits: Hits): Promise<boolean> {
  const text = await readText(path, machine);
  if (text === null) return true;
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (let start = 0; start < lines.length; start += BATCH) {
    const batch = lines.slice(start, start + BATCH).map((line) => (line.endsWith("\r") ? line.slice(0, -1) : line));
    const candidates = batch.map((line) => (line.length > MAX_LINE_LENGTH ? null : line));
    for (const index of await matcher.match(candidates)) {
      if (!hits.add(`${path}:${start + index + 1}:${batch[index]}`)) return false;
    }
  }
  return true;
}

async function readText(path: string, machine: Machine): Promise<string | null> {
  const parts: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of machine.read(path)) {
      size += chunk.length;
      if (size > MAX_FILE_BYTES || chunk.includes(0)) return null;
      parts.push(chunk);
    }
  } catch (error) {
    // Gone meanwhile, or unreadable: the other files are still worth searching.
    fileFailure("grep", path, error);
    return null;
  }
  return decodeText(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, size));
}
