/** Looks for secret values in whatever a product leaves behind, in every form in which one could have been written down. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

/** Value by the kind of secret that it is. */
export type Canaries = Record<string, string>;

/** Independent of the product's own list, and longer. */
function formsOf(value: string): Buffer[] {
  // Base64 depends on where in a longer text the value begins; the letters at its ends belong to its neighbours, too.
  const base64 = [0, 1, 2].map((shift) => {
    const text = Buffer.from(`${"x".repeat(shift)}${value}`).toString("base64");
    return text.replace(/=+$/, "").slice(shift === 0 ? 0 : 4, -2);
  });
  const json = JSON.stringify(value).slice(1, -1);
  const texts = [
    value,
    json,
    JSON.stringify(json).slice(1, -1),
    encodeURIComponent(value),
    encodeURIComponent(value).toLowerCase(),
    Buffer.from(value).toString("hex"),
    ...base64,
    ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_")),
    // Line breaks and backslashes are taken out of what is searched, too.
    ...[value, ...base64].map(unwrapped),
  ];
  return [...new Set(texts)].map((text) => Buffer.from(text)).concat(Buffer.from(value, "utf16le"));
}

const unwrapped = (text: string): string => text.replace(/\\[nr]|[\\\r\n]/g, "");

/** Kinds of secrets in `bytes`. Wrapped lines and escapes hide nothing. */
export function canariesIn(bytes: Buffer, canaries: Canaries): string[] {
  const joined = Buffer.from(unwrapped(bytes.toString("latin1")), "latin1");
  return Object.entries(canaries).flatMap(([kind, value]) =>
    formsOf(value).some((form) => bytes.includes(form) || joined.includes(form)) ? [kind] : [],
  );
}

/** Kinds of secrets among the strings of a heap snapshot, which has them as JSON in ASCII. */
export function canariesInHeap(snapshot: Buffer, canaries: Canaries): string[] {
  const code = (sign: string): string => sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return Object.entries(canaries).flatMap(([kind, value]) => {
    const texts = [
      value,
      encodeURIComponent(value),
      Buffer.from(value).toString("base64").replace(/=+$/, "").slice(0, -1),
    ];
    const found = texts.some((text) => {
      const json = JSON.stringify(text).slice(1, -1);
      return snapshot.includes(json.replace(/[^\0-\x7f]/g, (sign) => `\\u${code(sign)}`)) || snapshot.includes(json);
    });
    return found ? [kind] : [];
  });
}

/** Null for what is no file, and for one that a process at work has removed since it was listed. */
function contentOf(path: string): Buffer | null {
  try {
    return statSync(path).isFile() ? readFileSync(path) : null;
  } catch (error) {
    if (["ENOENT", "ENXIO", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? "")) return null;
    throw error;
  }
}

/** Kinds of secrets by file of a folder. @param skip files that are no part of the search, by their path in the folder */
export function canariesInFolder(
  folder: string,
  canaries: Canaries,
  skip: (name: string) => boolean = () => false,
): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const name of readdirSync(folder, { recursive: true, encoding: "utf8" })) {
    const bytes = skip(name) ? null : contentOf(join(folder, name));
    const kinds = bytes === null ? [] : canariesIn(bytes, canaries);
    if (kinds.length > 0) found[name] = kinds;
  }
  return found;
}
