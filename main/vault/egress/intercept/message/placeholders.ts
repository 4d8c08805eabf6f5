/** Puts values in the place of placeholders: in header values, in Basic credentials, and in bodies as they pass. Pure. */
import { Transform, type TransformCallback } from "node:stream";

/** One placeholder and what takes its place. */
export interface Replacement {
  /** ASCII without anything that an encoding would change. */
  placeholder: string;
  value: string;
  /** Told each time that the value takes its place. */
  onUse: () => void;
}

/** How a value is written so that what is around it stays well-formed. */
export type BodyEncoding = "plain" | "json" | "form" | "xml";

const XML: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };

export function encodedValue(value: string, encoding: BodyEncoding): string {
  switch (encoding) {
    case "json":
      return JSON.stringify(value).slice(1, -1);
    case "form":
      return encodeURIComponent(value.toWellFormed()).replace(/[!'()*]/g, (char) => `%${hex(char)}`);
    case "xml":
      return value.replace(/[&<>"']/g, (char) => XML[char] ?? char);
    case "plain":
      return value;
  }
}

const hex = (char: string): string => char.charCodeAt(0).toString(16).toUpperCase();

const BASIC = /^(\s*basic\s+)([A-Za-z0-9+/]+={0,2})(\s*)$/i;

/** Bytes of one header's value after the replacements; no server takes more. */
const MAX_HEADER = 64 * 1024;

/**
 * A header's value, a byte per character as HTTP has it, with values for placeholders; also inside Basic credentials.
 * Null when no header can carry the result: it would be too long, or have a line break, which begins another header.
 */
export function replaceInHeader(text: string, replacements: readonly Replacement[]): string | null {
  const [, scheme = "", base64 = "", after = ""] = BASIC.exec(text) ?? [];
  if (base64 === "") {
    const replaced = replaceIn(text, replacements);
    return replaced !== null && isHeaderText(replaced) ? replaced : null;
  }
  const plain = Buffer.from(base64, "base64").toString("latin1");
  const replaced = replaceIn(plain, replacements);
  if (replaced === null || replaced === plain) return replaced === null ? null : text;
  return `${scheme}${Buffer.from(replaced, "latin1").toString("base64")}${after}`;
}

/** Null when it would get too long. */
function replaceIn(text: string, replacements: readonly Replacement[]): string | null {
  if (!replacements.some(({ placeholder }) => text.includes(placeholder))) return text;
  return replaceAll(Buffer.from(text, "latin1"), replacements, "plain", MAX_HEADER)?.toString("latin1") ?? null;
}

function isHeaderText(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return false;
  }
  return true;
}

/** All of a body at once; null when it would be more than `maxBytes`. */
export function replaceAll(
  bytes: Buffer,
  replacements: readonly Replacement[],
  encoding: BodyEncoding,
  maxBytes: number,
): Buffer | null {
  const replacer = new Replacer(replacements, encoding);
  const parts = [...replacer.add(bytes), ...replacer.end()];
  // A short placeholder repeated in a large body could stand for gigabytes.
  return parts.reduce((sum, part) => sum + part.length, 0) > maxBytes ? null : Buffer.concat(parts);
}

/** True when the placeholder is in the header's value, or in its Basic credentials. */
export function holdsPlaceholder(text: string, placeholder: string): boolean {
  const [, , base64] = BASIC.exec(text) ?? [];
  const plain = base64 === undefined ? text : Buffer.from(base64, "base64").toString("latin1");
  return plain.includes(placeholder);
}

interface Needle {
  bytes: Buffer;
  value: Buffer;
  onUse: () => void;
}

/** Replaces in bytes that come in pieces. Placeholders are random: none is part of another. */
export class Replacer {
  readonly #needles: Needle[];
  /** The end of what came, with which a placeholder could begin. */
  #held: Buffer = Buffer.alloc(0);

  constructor(replacements: readonly Replacement[], encoding: BodyEncoding) {
    this.#needles = replacements.map(({ placeholder, value, onUse }) => ({
      bytes: Buffer.from(placeholder),
      value: Buffer.from(encodedValue(value, encoding)),
      onUse,
    }));
  }

  /** What can be passed on. */
  add(chunk: Buffer): Buffer[] {
    const input = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const { parts, rest } = this.#replace(input);
    const keep = this.#pending(rest);
    // Copied: a few bytes must not hold a whole chunk in memory.
    this.#held = Buffer.from(rest.subarray(rest.length - keep));
    return [...parts, rest.subarray(0, rest.length - keep)];
  }

  /** What was held back, after the last piece. */
  end(): Buffer[] {
    const { parts, rest } = this.#replace(this.#held);
    this.#held = Buffer.alloc(0);
    return [...parts, rest];
  }

  #replace(input: Buffer): { parts: Buffer[]; rest: Buffer } {
    const parts: Buffer[] = [];
    let from = 0;
    // Where each placeholder is next; looked for again only when that was passed.
    const next = this.#needles.map(({ bytes }) => input.indexOf(bytes));
    for (;;) {
      let first = -1;
      for (const [index, needle] of this.#needles.entries()) {
        let at = next[index] ?? -1;
        if (at !== -1 && at < from) at = next[index] = input.indexOf(needle.bytes, from);
        if (at !== -1 && (first === -1 || at < (next[first] ?? 0))) first = index;
      }
      const found = this.#needles[first];
      if (found === undefined) return { parts, rest: input.subarray(from) };
      const at = next[first] ?? 0;
      found.onUse();
      parts.push(input.subarray(from, at), found.value);
      from = at + found.bytes.length;
    }
  }

  #pending(input: Buffer): number {
    let longest = 0;
    for (const { bytes } of this.#needles) {
      for (let length = Math.min(bytes.length - 1, input.length); length > longest; length--) {
        const start = input.length - length;
        if (input[start] === bytes[0] && input.subarray(start).equals(bytes.subarray(0, length))) longest = length;
      }
    }
    return longest;
  }
}

/** The same as a stream. */
export function replacingStream(replacements: readonly Replacement[], encoding: BodyEncoding): Transform {
  const replacer = new Replacer(replacements, encoding);
  return new Transform({
    transform(chunk: Buffer, _encoding, done: TransformCallback) {
      for (const part of replacer.add(chunk)) if (part.length > 0) this.push(part);
      done();
    },
    flush(done: TransformCallback) {
      for (const part of replacer.end()) if (part.length > 0) this.push(part);
      done();
    },
  });
}
