/** Makes characters visible that would make a text look like another one. */

// Marks that turn the direction of the text after them: "gpj.exe" can be made to look like "exe.jpg".
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** The text with direction marks spelt out, so that what is approved is what is read. */
export function visible(text: string): string {
  return text.replace(BIDI, (mark) => `[U+${(mark.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`);
}
