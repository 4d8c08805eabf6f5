/** Cuts a TypeScript declaration file into tokens: enough for the regular files that the official SDK ships. */

export interface Token {
  kind: "word" | "text" | "number" | "sign";
  /** The word, the string's value, the number's digits, or the sign. */
  value: string;
  /** Place in the file, for error messages. */
  at: number;
}

const PATTERN =
  /\s+|\/\/[^\n]*|\/\*[\s\S]*?\*\/|(?<word>[#$_\p{L}][$\p{L}\p{N}_]*)|(?<text>'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")|(?<number>-?\d[\d_.]*)|(?<sign>=>|\.\.\.|[{}()[\]<>|&,;:?=.*!@+-])/guy;

/** @throws Error that names the place when the file holds something else */
export function tokensOf(text: string, file: string): Token[] {
  const tokens: Token[] = [];
  PATTERN.lastIndex = 0;
  while (PATTERN.lastIndex < text.length) {
    const at = PATTERN.lastIndex;
    const match = PATTERN.exec(text);
    if (match === null)
      throw new Error(`${file}: cannot read the declaration at ${JSON.stringify(text.slice(at, at + 60))}`);
    const { word, text: quoted, number, sign } = match.groups ?? {};
    if (word !== undefined) tokens.push({ kind: "word", value: word, at });
    else if (quoted !== undefined) tokens.push({ kind: "text", value: unquoted(quoted), at });
    else if (number !== undefined) tokens.push({ kind: "number", value: number, at });
    else if (sign !== undefined) tokens.push({ kind: "sign", value: sign, at });
  }
  return tokens;
}

function unquoted(text: string): string {
  const inside = text.slice(1, -1);
  return inside.includes("\\")
    ? (JSON.parse(`"${inside.replaceAll("\\'", "'").replaceAll('"', '\\"')}"`) as string)
    : inside;
}
