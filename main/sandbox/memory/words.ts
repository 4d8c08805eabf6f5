/** What the model is told of its memory stores with the next result. */
import { MAX_MEMORY_BYTES } from "../../contract/memory/paths.ts";
import type { ChangeProblem, Unfit } from "./port.ts";

const SHOWN = 10;
const MAX_LINE = 600;

export const UNFIT: Record<Unfit | "not_text", string> = {
  link: "it is a symbolic link, and only regular files are saved",
  special: "it is neither a file nor a folder",
  too_large: `it has more than ${MAX_MEMORY_BYTES} bytes; split it into smaller files`,
  unreadable: "it cannot be read; check its mode",
  bad_name: "its name or path is not allowed",
  not_text: "it is not valid UTF-8 text",
};

export function unsaved(file: string, reason: string): string {
  return `${file} is not saved: ${reason}.`;
}

const NOT_BROUGHT: Record<ChangeProblem | "too_long", string> = {
  blocked: "a link or a folder of yours is in its place",
  changed: "its file could not be written here",
  failed: "its file could not be written here",
  too_long: "one of its names is too long for a file",
};

export function notBrought(file: string, problem: ChangeProblem | "too_long"): string {
  return `The memory ${file} was changed by somebody else and is not in this folder: ${NOT_BROUGHT[problem]}.`;
}

export function conflict(file: string, sibling: string | null): string {
  const kept = sibling === null ? "Your version could not be kept." : `Your version was kept as ${sibling}.`;
  return `${file} was changed by somebody else at the same time; it now holds their version. ${kept}`;
}

export function wiped(mount: string): string {
  return `All files of ${mount} were gone at once, which looks like an accident, so they were put back. Delete files one by one if you meant it.`;
}

export function remade(mount: string): string {
  return `The folder ${mount} was removed or replaced, so it was made again with what is saved.`;
}

export function overflow(mount: string): string {
  return `${mount} cannot be looked through: it holds too many files, or its mode forbids it. Nothing in it is saved until that is put right.`;
}

export function storeGone(mount: string): string {
  return `The memory store of ${mount} was deleted: what is in the folder is not saved any more.`;
}

export function putRight(mount: string): string {
  return `${mount} is read-only: your changes in it were undone.`;
}

/** The text of a result with what must be told after it. */
export function withMemoryNotices(text: string, notices: readonly string[]): string {
  if (notices.length === 0) return text;
  const lines = notices
    .slice(0, SHOWN)
    .map((line) => (line.length > MAX_LINE ? `${line.slice(0, MAX_LINE - 1)}…` : line));
  if (notices.length > SHOWN) lines.push(`And ${notices.length - SHOWN} more of this kind.`);
  return `${text}\n\n[Memory: ${lines.join("\n").toWellFormed()}]`;
}
