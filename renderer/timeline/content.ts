/** Reads the bodies of events. Texts over 64 KiB arrive as markers; everything here treats both alike. */
import type { BlobMarker } from "../../main/contract/local_api.ts";
import { visible } from "../format/visible.ts";

export type Part =
  | { kind: "text"; text: string }
  | { kind: "blob"; blob: BlobMarker }
  /** An image, a document or anything else that is named rather than drawn. */
  | { kind: "other"; label: string };

export function isBlob(value: unknown): value is BlobMarker {
  return (
    typeof value === "object" &&
    value !== null &&
    "longhaul_blob" in value &&
    typeof value.longhaul_blob === "string" &&
    /^[0-9a-f]{64}$/.test(value.longhaul_blob)
  );
}

/** The parts of a content array (or of a bare string); unknown shapes become a label, never an error. */
export function partsOf(content: unknown): Part[] {
  if (typeof content === "string") return [{ kind: "text", text: content }];
  if (isBlob(content)) return [{ kind: "blob", blob: content }];
  if (!Array.isArray(content)) return [];
  return content.map(partOf);
}

function partOf(block: unknown): Part {
  if (typeof block !== "object" || block === null) return { kind: "other", label: String(block) };
  if (isBlob(block)) return { kind: "blob", blob: block };
  const type = "type" in block && typeof block.type === "string" ? block.type : "unknown";
  for (const key of ["text", "thinking"]) {
    const value = (block as Record<string, unknown>)[key];
    if (typeof value === "string") return { kind: "text", text: value };
    if (isBlob(value)) return { kind: "blob", blob: value };
  }
  return { kind: "other", label: type };
}

/** All text of a content array; a marker counts with its preview. */
export function plainText(content: unknown): string {
  return partsOf(content)
    .map((part) => (part.kind === "text" ? part.text : part.kind === "blob" ? part.blob.preview : `[${part.label}]`))
    .join("\n");
}

/** Size of a content array as its reader would see it. */
export function measure(content: unknown): { lines: number; bytes: number } {
  let lines = 0;
  let bytes = 0;
  for (const part of partsOf(content)) {
    if (part.kind === "text") {
      if (part.text !== "") lines += countLines(part.text);
      bytes += part.text.length;
    } else if (part.kind === "blob") {
      // The preview is a part of the text: its density of line breaks stands for the rest.
      const { preview } = part.blob;
      bytes += part.blob.bytes;
      lines += Math.round((countLines(preview) * part.blob.bytes) / Math.max(1, preview.length));
    }
  }
  return { lines, bytes };
}

export function countLines(text: string): number {
  let lines = text.endsWith("\n") ? 0 : 1;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lines += 1;
  return lines;
}

/** The first line of a Markdown text as plain words: marks of headings, lists, code and emphasis are left out. */
export function firstPlainLine(text: string): string {
  return firstLine(text)
    .replace(/^(?:#{1,6}|[-*+>]|\d{1,3}[.)])\s+/, "")
    .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/(\*\*|__|`)(?=\S)(.*?\S)\1/g, "$2");
}

/** The first line with something on it, at most 240 characters, spaces collapsed. */
export function firstLine(text: string): string {
  for (const line of text.slice(0, 4000).split("\n")) {
    const clean = visible(line.replace(/\s+/g, " ").trim());
    if (clean !== "") return clean.length > 240 ? `${clean.slice(0, 239)}…` : clean;
  }
  return "";
}
