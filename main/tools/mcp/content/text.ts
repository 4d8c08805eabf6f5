/** Text of MCP servers, made safe for models, people and requests. */

const ESC = String.fromCharCode(0x1b);
const BEL = String.fromCharCode(0x07);
const CONTROL_SEQUENCE = new RegExp(`${ESC}(?:\\[[0-9;?]*[ -/]*[@-~]|\\][^${BEL}${ESC}]*(?:${BEL}|${ESC}\\\\))`, "g");
/** Tag characters and changes of direction: a person does not see what they say to a model. */
const HIDDEN = /[\u{e0000}-\u{e007f}\u202a-\u202e\u2066-\u2069]/gu;

/** Well-formed, without NUL, terminal control sequences and characters that hide text. */
export function cleanText(text: string): string {
  return text.toWellFormed().replace(CONTROL_SEQUENCE, "").replaceAll("\0", "\ufffd").replace(HIDDEN, "");
}

/** Cut to `most` UTF-16 units without halving a character; says that it was cut. */
export function bounded(text: string, most: number): string {
  if (text.length <= most) return text;
  const note = " … (cut)";
  return `${text
    .slice(0, most - note.length)
    .toWellFormed()
    .replace(/\ufffd$/, "")}${note}`;
}

/** One line of at most `most` UTF-16 units. */
export function oneLine(text: string, most: number): string {
  return bounded(cleanText(text).replace(/\s+/g, " ").trim(), most);
}
