/** The account's layout: a time, a kind, a text; further lines of a text stand under it. */
import type { Paint, Style } from "./words.ts";

const KIND_WIDTH = 9;
/** Column in which texts begin: time (8), gap (2), kind. */
export const INDENT = " ".repeat(8 + 2 + KIND_WIDTH + 1);

export interface RowOptions {
  paint?: Paint;
  /** Paints the text too, not only the kind. */
  whole?: boolean;
}

/** Beginning of a row, up to the column of its text. `at` null leaves the time blank. */
export function rowHead(style: Style, at: string | null, kind: string, paint?: Paint): string {
  const time = at === null ? " ".repeat(8) : style.paint("dim", style.clock(at));
  const word = kind.padEnd(KIND_WIDTH);
  return `${time}  ${paint === undefined ? word : style.paint(paint, word)} `;
}

/** A row with its newline; `text` may have several lines. */
export function row(style: Style, at: string | null, kind: string, text: string, options: RowOptions = {}): string {
  const { paint, whole = false } = options;
  const body = under(text);
  return `${rowHead(style, at, kind, paint)}${whole && paint !== undefined ? style.paint(paint, body) : body}\n`;
}

/** Lines below a row, indented like its text, with their newline. */
export function note(style: Style, text: string, paint: Paint = "dim"): string {
  return text
    .split("\n")
    .map((line) => `${INDENT}${style.paint(paint, line)}\n`)
    .join("");
}

/** Further lines of a text that begins in the text column. */
export function under(text: string): string {
  return text.replaceAll("\n", `\n${INDENT}`);
}
