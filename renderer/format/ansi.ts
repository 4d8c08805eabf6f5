/**
 * Terminal output as styled pieces of plain text. Colours and weights are kept; every other control sequence is dropped,
 * so nothing that a program prints can move the cursor, set a title or reach the page as markup.
 */
import { visible } from "./visible.ts";

export interface AnsiPiece {
  text: string;
  /** Index into the 16 terminal colours, or null for the default colour. */
  color: number | null;
  bold: boolean;
  dim: boolean;
  underline: boolean;
}

const PLAIN = { color: null, bold: false, dim: false, underline: false } as const;

const ESC = "\u001b";
const BELL = "\u0007";

// CSI (colours, cursor), OSC (titles, links; ended by BEL or ST), DCS/APC/PM strings, two-character escapes, a lone ESC.
const ESCAPE = new RegExp(
  `${ESC}(?:${[
    "\\[([0-9;:?<>=!]*)([ -/]*[@-~])",
    `\\][^${BELL}${ESC}]*(?:${BELL}|${ESC}\\\\)?`,
    `[PX^_][^${ESC}]*(?:${ESC}\\\\)?`,
    "[ -/]*[0-~]",
  ].join("|")})|${ESC}`,
  "g",
);

// Control characters other than newline and tab, after escapes and carriage returns are dealt with.
const CONTROL = /(?![\n\t])\p{Cc}/gu;

/** Splits `text` into styled pieces; adjacent text of one style is one piece. */
export function parseAnsi(text: string): AnsiPiece[] {
  const pieces: AnsiPiece[] = [];
  let style: Style = PLAIN;
  let from = 0;
  const source = overwrite(text);
  const push = (raw: string): void => {
    const clean = visible(raw.replace(CONTROL, ""));
    if (clean !== "") pieces.push({ text: clean, ...style });
  };
  for (const match of source.matchAll(ESCAPE)) {
    push(source.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[2] === "m") style = restyle(style, match[1] ?? "");
  }
  push(source.slice(from));
  return pieces;
}

/** The text alone. */
export function stripAnsi(text: string): string {
  return visible(overwrite(text).replace(ESCAPE, "").replace(CONTROL, ""));
}

/** Progress bars rewrite their line with a carriage return: only the last state is worth a line. */
function overwrite(text: string): string {
  if (!text.includes("\r")) return text;
  return text
    .replaceAll("\r\n", "\n")
    .split("\n")
    .map((line) => {
      const states = line.split("\r").filter((state) => state !== "");
      return states.at(-1) ?? "";
    })
    .join("\n");
}

type Style = Omit<AnsiPiece, "text">;

const WEIGHTS: Record<number, Partial<Style>> = {
  0: PLAIN,
  1: { bold: true },
  2: { dim: true },
  4: { underline: true },
  22: { bold: false, dim: false },
  24: { underline: false },
  39: { color: null },
};

function restyle(style: Style, parameters: string): Style {
  let next: Style = { ...style };
  const codes = parameters.split(/[;:]/).map(Number);
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i] ?? 0;
    next = { ...next, ...WEIGHTS[code] };
    if (code >= 30 && code <= 37) next.color = code - 30;
    else if (code >= 90 && code <= 97) next.color = code - 82;
    else if (code === 38 || code === 48) {
      // 256 and true colours: skip their arguments; only the first 16 of a palette have a place in our themes.
      const index = codes[i + 2] ?? 16;
      const palette = codes[i + 1] === 5;
      if (code === 38 && palette && index < 16) next.color = index;
      i += palette ? 2 : 4;
    }
  }
  return next;
}
