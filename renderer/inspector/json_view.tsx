import { memo, useMemo, useState } from "react";
import { bytes } from "../format/numbers.ts";

/** Characters drawn at once. */
const STEP = 40_000;

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(?:true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

interface Piece {
  text: string;
  look: string;
}

/** Colours JSON: keys, strings, other values. */
export function colourJson(json: string): Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const match of json.matchAll(TOKEN)) {
    if (match.index > from) pieces.push({ text: json.slice(from, match.index), look: "text-ink-3" });
    const key = match[1] !== undefined && match[2] !== undefined;
    pieces.push({ text: match[0], look: key ? "text-ink-2" : match[1] === undefined ? "text-model" : "text-ink" });
    from = match.index + match[0].length;
  }
  if (from < json.length) pieces.push({ text: json.slice(from), look: "text-ink-3" });
  return pieces;
}

export const JsonView = memo(function JsonView({ value }: { value: unknown }) {
  const json = useMemo(() => JSON.stringify(value, null, 2) ?? "", [value]);
  const [limit, setLimit] = useState(STEP);
  const pieces = useMemo(() => colourJson(json.slice(0, limit)), [json, limit]);
  return (
    <div className="font-mono text-small">
      <div className="whitespace-pre-wrap [overflow-wrap:anywhere]">
        {pieces.map((piece, index) => (
          <span key={String(index)} className={piece.look}>
            {piece.text}
          </span>
        ))}
      </div>
      {json.length > limit && (
        <button
          type="button"
          className="mt-1 text-meta text-ink-2 underline hover:text-ink"
          onClick={() => setLimit(limit * 4)}
        >
          Show more of it ({bytes(json.length)} in all)
        </button>
      )}
    </div>
  );
});
