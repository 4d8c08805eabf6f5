/** Lets the keyboard, which is handled in one place, move in the list that is on screen. */
import type { Line } from "../../timeline/flatten.ts";

interface List {
  lines: readonly Line[];
  select: (id: string) => void;
  toggleOpened: (id: string) => void;
  fold: (id: string) => void;
}

let current: List | null = null;

/** Makes this the list that keys act on. Returns a function that takes it back. */
export function registerList(list: List): () => void {
  current = list;
  return () => {
    if (current === list) current = null;
  };
}

/** Selects the line `step` lines on from the selected one; from the end when nothing is selected. */
export function moveSelection(selected: string | null, step: number): void {
  if (current === null || current.lines.length === 0) return;
  const { lines } = current;
  const at = lines.findIndex((line) => line.id === selected);
  let next = at < 0 ? lines.length - 1 : Math.min(lines.length - 1, Math.max(0, at + step));
  if (lines[next]?.kind === "queue") next = Math.min(lines.length - 1, next + 1);
  const line = lines[next];
  if (line !== undefined) current.select(line.id);
}

/** Opens or closes the body of a row; folds a turn. */
export function toggleSelected(selected: string | null): void {
  const line = current?.lines.find((candidate) => candidate.id === selected);
  if (line === undefined || current === null) return;
  if (line.kind === "turn") current.fold(line.id);
  else current.toggleOpened(line.id);
}

/** Folds or unfolds the group that is selected; true when there was one to change. */
export function foldSelected(selected: string | null, fold: boolean): boolean {
  const line = current?.lines.find((candidate) => candidate.id === selected);
  if (current === null || line === undefined || line.kind === "queue") return false;
  const group = line.kind === "turn" || line.group;
  if (!group || line.open !== fold) return false;
  current.fold(line.id);
  return true;
}
