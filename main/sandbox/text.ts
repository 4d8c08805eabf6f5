/** Text that is safe to send to a model: valid UTF-8, no NUL, no terminal control sequences. */

const ESC = String.fromCharCode(0x1b);
const BEL = String.fromCharCode(0x07);
const CONTROL_SEQUENCE = new RegExp(`${ESC}(?:\\[[0-9;?]*[ -/]*[@-~]|\\][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\))`, "g");

/** Bytes as text: what is not UTF-8 becomes U+FFFD, and so does NUL, which requests cannot carry. */
export function decodeText(bytes: Uint8Array): string {
  return withoutNul(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
}

/** The same for a string: lone surrogates and NUL become U+FFFD. */
export function safeText(text: string): string {
  return withoutNul(text.toWellFormed());
}

function withoutNul(text: string): string {
  return text.includes("\0") ? text.replaceAll("\0", "\ufffd") : text;
}

/** Without colours, cursor moves and titles. */
export function stripControlSequences(text: string): string {
  return text.includes(ESC) ? text.replace(CONTROL_SEQUENCE, "") : text;
}

/** Drops the bytes at the start that belong to a character cut off before. */
export function fromCharacterStart(bytes: Uint8Array): Uint8Array {
  let start = 0;
  while (start < 3 && start < bytes.length && ((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start);
}
