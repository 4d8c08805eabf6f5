/** Text that programs print: colours kept, length bounded, everything else inert. */
import { memo, useMemo, useState } from "react";
import type { BlobMarker } from "../../main/contract/local_api.ts";
import { getBlob } from "../api/local.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { type AnsiPiece, parseAnsi } from "../format/ansi.ts";
import { bytes, plural } from "../format/numbers.ts";
import type { Part } from "../timeline/content.ts";
import { ProblemNote } from "../ui/problem_note.tsx";

const COLORS = [
  "text-ink-3",
  "text-[var(--ansi-1)]",
  "text-[var(--ansi-2)]",
  "text-[var(--ansi-3)]",
  "text-[var(--ansi-4)]",
  "text-[var(--ansi-5)]",
  "text-[var(--ansi-6)]",
  "text-ink",
];

/** A line longer than this is cut on screen: one line of a minified file must not stop the page. */
const MAX_LINE = 2000;

function classOf(piece: AnsiPiece): string {
  const color = piece.color === null ? "" : (COLORS[piece.color % 8] ?? "");
  return `${color} ${piece.bold ? "font-semibold" : ""} ${piece.dim ? "opacity-70" : ""} ${piece.underline ? "underline" : ""}`;
}

/** Cuts a text to its first or last lines, and each line to a length that can be drawn. */
export function boundText(text: string, maxLines: number, keep: "head" | "tail"): { text: string; hidden: number } {
  const lines = text.replace(/\n$/, "").split("\n");
  const hidden = Math.max(0, lines.length - maxLines);
  const kept = keep === "tail" ? lines.slice(hidden) : lines.slice(0, maxLines);
  const cut = kept.map((line) =>
    line.length > MAX_LINE ? `${line.slice(0, MAX_LINE)} … [${line.length} characters]` : line,
  );
  return { text: cut.join("\n"), hidden };
}

interface OutputProps {
  text: string;
  /** Lines drawn; the rest is counted and shown on demand. */
  maxLines: number;
  keep?: "head" | "tail";
}

export const Output = memo(function Output({ text, maxLines, keep = "head" }: OutputProps) {
  const [limit, setLimit] = useState(maxLines);
  const bounded = useMemo(() => boundText(text, limit, keep), [text, limit, keep]);
  const pieces = useMemo(() => parseAnsi(bounded.text), [bounded.text]);
  const more =
    bounded.hidden > 0 ? (
      <button
        type="button"
        onClick={() => setLimit(limit + 2000)}
        className="block text-meta text-ink-3 underline hover:text-ink"
      >
        {plural(bounded.hidden, keep === "tail" ? "earlier line" : "more line")}
      </button>
    ) : null;
  return (
    <div className="font-mono text-small">
      {keep === "tail" && more}
      <div className="whitespace-pre-wrap [overflow-wrap:anywhere]">
        {pieces.map((piece, index) => (
          <span key={String(index)} className={classOf(piece)}>
            {piece.text}
          </span>
        ))}
      </div>
      {keep === "head" && more}
    </div>
  );
});

/** A body that is kept apart because it is large: its beginning, and the rest on demand. */
export function Blob({ blob, maxLines }: { blob: BlobMarker; maxLines: number }) {
  const [state, setState] = useState<{ text: string | null; loading: boolean; problem: Problem | null }>({
    text: null,
    loading: false,
    problem: null,
  });
  const load = (): void => {
    setState({ text: null, loading: true, problem: null });
    getBlob(blob.longhaul_blob).then(
      (text) => setState({ text, loading: false, problem: null }),
      (error: unknown) => setState({ text: null, loading: false, problem: problemOf(error) }),
    );
  };
  if (state.text !== null) return <Output text={state.text} maxLines={Math.max(maxLines, 400)} />;
  return (
    <div className="space-y-1">
      <Output text={blob.preview} maxLines={maxLines} />
      <button
        type="button"
        data-testid="load-blob"
        disabled={state.loading}
        onClick={load}
        className="text-meta text-ink-2 underline hover:text-ink"
      >
        {state.loading ? "Loading…" : `Load all of it (${bytes(blob.bytes)})`}
      </button>
      {state.problem !== null && <ProblemNote problem={state.problem} />}
    </div>
  );
}

/** The parts of a result, in order. */
export function Parts({
  parts,
  maxLines,
  keep = "head",
}: {
  parts: readonly Part[];
  maxLines: number;
  keep?: "head" | "tail";
}) {
  return (
    <>
      {parts.map((part, index) => {
        const key = String(index);
        if (part.kind === "text") return <Output key={key} text={part.text} maxLines={maxLines} keep={keep} />;
        if (part.kind === "blob") return <Blob key={key} blob={part.blob} maxLines={maxLines} />;
        return (
          <p key={key} className="text-ink-3">
            [{part.label}]
          </p>
        );
      })}
    </>
  );
}
