/** How the account writes times, sizes and foreign text. Pure. */
import { stripVTControlCharacters, styleText } from "node:util";

export type Paint = "dim" | "bold" | "red" | "green" | "yellow" | "cyan";

/** Everything about the output that is not in the events. */
export interface Style {
  paint: (paint: Paint, text: string) => string;
  /** Time of day of an ISO timestamp, 8 characters. */
  clock: (iso: string) => string;
}

/** @param timeZone IANA name; the machine's own when not given */
export function styleFor(color: boolean, timeZone?: string): Style {
  const zone = timeZone === undefined ? {} : { timeZone };
  const format = new Intl.DateTimeFormat("en-GB", {
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
    ...zone,
  });
  return {
    paint: (paint, text) => (color ? styleText(paint, text, { validateStream: false }) : text),
    clock: (iso) => {
      const at = Date.parse(iso);
      return Number.isNaN(at) ? "--:--:--" : format.format(at);
    },
  };
}

/** 3 ms, 4.2 s, 2 m 10 s, 3 h 5 m. */
export function duration(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "0 ms";
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} m`;
}

/** 999, 1.2 k, 41 k, 3.4 M. */
export function count(n: number): string {
  if (n < 1000) return String(n);
  if (n < 9950) return `${(n / 1000).toFixed(1)} k`;
  if (n < 999_500) return `${Math.round(n / 1000)} k`;
  return `${(n / 1_000_000).toFixed(1)} M`;
}

/** "1 event", "2 events". */
export function plural(n: number, noun: string): string {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

// Built from code points: control characters are the subject here, and nobody can read them in an expression.
const CONTROL = new RegExp(
  `[${String.fromCharCode(0)}-${String.fromCharCode(8)}${String.fromCharCode(11)}-${String.fromCharCode(31)}${String.fromCharCode(127)}-${String.fromCharCode(159)}]`,
  "g",
);

/**
 * Text of a model, a tool or a person as a terminal may show it: escape sequences and control characters taken out, so
 * that no output can move the cursor, rename the window or fake a line of this account. Newlines and tabs stay.
 */
export function harmless(text: string): string {
  return stripVTControlCharacters(text.replaceAll("\r\n", "\n")).replace(CONTROL, "");
}

/** One line of at most `width` characters. */
export function clip(text: string, width: number): string {
  const line = harmless(text.slice(0, width * 4))
    .replace(/\s+/g, " ")
    .trim();
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}

/** A body over 64 KiB stands in events as a marker (see BlobMarker); its beginning has to do here. */
function valueText(value: unknown): string {
  if (typeof value === "string") return value;
  if (typeof value === "object" && value !== null && "longhaul_blob" in value && "preview" in value) {
    const bytes = "bytes" in value ? Number(value.bytes) : 0;
    return `${String(value.preview)}… [${count(bytes)} bytes in all]`;
  }
  return "";
}

/** The text of content blocks, one block per line; other kinds of block are named in brackets. Never throws. */
export function textOf(content: unknown): string {
  if (!Array.isArray(content)) return valueText(content);
  return content
    .map((block: unknown) => {
      if (typeof block !== "object" || block === null || !("type" in block)) return "";
      return block.type === "text" && "text" in block ? valueText(block.text) : `[${String(block.type)}]`;
    })
    .join("\n");
}

/** The value of a tool's input that tells most, as one line. */
export function inputLine(input: unknown, width = 160): string {
  if (typeof input !== "object" || input === null) return "";
  const fields = input as Record<string, unknown>;
  for (const key of ["command", "file_path", "pattern", "path", "query", "url"]) {
    const text = valueText(fields[key]);
    if (text !== "") return clip(text, width);
  }
  if (fields.restart === true) return "(restart the shell)";
  const json = JSON.stringify(input);
  return json === "{}" ? "" : clip(json, width);
}
