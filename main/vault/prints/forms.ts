/** The forms in which a secret value may be echoed. */

/** Shorter pieces of a longer value would be found by chance. */
const PART_UNITS = 16;
/** A value of more parts is a document: its first ones, in which keys are, are enough. */
const MAX_PARTS = 64;

/**
 * The value as it is, inside JSON, inside a URL, as base64 of either alphabet and at any offset, as program texts escape
 * it, and its longer lines and fields in all these forms. Escaping backslashes and line breaks need no forms of their own:
 * the scanner passes over them.
 */
export function formsOf(value: string): Set<string> {
  return new Set([value, ...partsOf(value)].flatMap(encodings));
}

function encodings(text: string): string[] {
  const json = JSON.stringify(text.toWellFormed()).slice(1, -1);
  const url = encodeURIComponent(text.toWellFormed());
  return [
    text,
    json,
    // Python's and Go's JSON.
    json.replace(/[^\0-\x7f]/g, escaped),
    json.replace(/[<>&]/g, escaped),
    url,
    url.replaceAll("%20", "+"),
    url.replace(/%[0-9A-F]{2}/g, (code) => code.toLowerCase()),
    // What else a URL may keep as it is, and what strict encoders do not.
    url.replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`),
    // UTF-8 that was read byte by byte.
    Buffer.from(text).toString("latin1"),
    ...base64Forms(Buffer.from(text)),
  ];
}

const escaped = (sign: string): string => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** As base64 of the value alone, and as what every base64 text shares that has it after 0, 1 or 2 bytes more than threes. */
function base64Forms(value: Buffer): string[] {
  const alone = value.toString("base64").replace(/=+$/, "");
  const within = [0, 1, 2].map((shift) => {
    const bytes = Buffer.concat([Buffer.alloc(shift), value]);
    return bytes.toString("base64").slice(Math.ceil((shift * 8) / 6), Math.floor((bytes.length * 8) / 6));
  });
  return [alone, ...within].flatMap((text) => [text, text.replaceAll("+", "-").replaceAll("/", "_")]);
}

/** Long lines of a key file, and long fields of a JSON document: programs show them one by one. */
function partsOf(value: string): string[] {
  const lines = value.split(/\r?\n/).map((line) => line.trim());
  const parts = lines.length > 1 ? lines.filter((line) => !line.startsWith("-----")) : [];
  return [...parts, ...fieldsOf(value)].filter((part) => part.length >= PART_UNITS).slice(0, MAX_PARTS);
}

function fieldsOf(value: string): string[] {
  if (!/^\s*[{[]/.test(value)) return [];
  try {
    const fields: string[] = [];
    JSON.parse(value, (_, field: unknown) => {
      if (typeof field === "string")
        fields.push(field, ...field.split(/\r?\n/).filter((line) => !line.startsWith("-----")));
      return field;
    });
    return fields;
  } catch {
    return [];
  }
}
