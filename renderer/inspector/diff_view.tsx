import { useState } from "react";
import { plural } from "../format/numbers.ts";
import type { PatchFile, PatchLine } from "../format/patch.ts";

const STEP = 600;
const LOOKS: Record<PatchLine["kind"], string> = {
  context: "",
  added: "bg-added-soft",
  removed: "bg-bad-soft",
  note: "text-ink-3 italic",
};
const SIGNS: Record<PatchLine["kind"], string> = { context: " ", added: "+", removed: "−", note: " " };

/** The changed lines of one file, numbered on both sides. */
export function DiffView({ file }: { file: PatchFile | undefined }) {
  const [limit, setLimit] = useState(STEP);
  if (file === undefined || file.hunks.length === 0) {
    return <p className="px-8 py-1 text-small text-ink-3">{file?.notes.join(", ") || "No text to compare."}</p>;
  }
  let left = limit;
  const total = file.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
  return (
    <div className="mb-1 font-mono text-[11px] leading-[17px]" data-testid="diff">
      {file.hunks.map((hunk, index) => {
        const lines = hunk.lines.slice(0, Math.max(0, left));
        left -= hunk.lines.length;
        if (lines.length === 0) return null;
        return (
          <div key={String(index)}>
            <p className="truncate bg-hover px-3 text-ink-3">{hunk.header}</p>
            {lines.map((line, at) => (
              <div key={String(at)} className={`flex ${LOOKS[line.kind]}`}>
                <span className="w-9 shrink-0 pr-1 text-right text-ink-3 select-none">{line.before}</span>
                <span className="w-9 shrink-0 pr-2 text-right text-ink-3 select-none">{line.after}</span>
                <span className="w-3 shrink-0 select-none">{SIGNS[line.kind]}</span>
                <span className="min-w-0 flex-1 pr-2 whitespace-pre-wrap [overflow-wrap:anywhere]">
                  {line.text.slice(0, 2000)}
                </span>
              </div>
            ))}
          </div>
        );
      })}
      {total > limit && (
        <button
          type="button"
          className="px-8 text-meta text-ink-2 underline hover:text-ink"
          onClick={() => setLimit(limit * 4)}
        >
          {plural(total - limit, "more line")}
        </button>
      )}
    </div>
  );
}
