import { useMemo, useState } from "react";
import type { ChangedFile } from "../../main/contract/local_api.ts";
import { plural } from "../format/numbers.ts";
import { DiffLine } from "./diff_line.tsx";
import { withoutLines } from "./flat_diff.ts";
import { parseSection } from "./sections.ts";

/** Lines drawn at first, and at most: a longer diff is read in the wide view, which draws only what is on screen. */
const FIRST = 400;
const MOST = 2400;

interface DiffViewProps {
  file: ChangedFile;
  /** The file's part of the patch. */
  section: string | undefined;
  /** Opens the wide view at this file. */
  onWide: () => void;
}

/** The changed lines of one file. */
export function DiffView({ file, section, onWide }: DiffViewProps) {
  const [limit, setLimit] = useState(FIRST);
  const patch = useMemo(() => (file.binary ? null : parseSection(section)), [file.binary, section]);
  if (patch === null || patch.hunks.length === 0) {
    return <p className="px-8 py-1 text-small text-ink-3">{withoutLines(file, patch)}</p>;
  }
  let left = limit;
  const total = patch.hunks.reduce((sum, hunk) => sum + hunk.lines.length, 0);
  return (
    <div className="mb-1 font-mono text-[11px] leading-[17px]" data-testid="diff">
      {patch.hunks.map((hunk, index) => {
        const lines = hunk.lines.slice(0, Math.max(0, left));
        left -= hunk.lines.length;
        if (lines.length === 0) return null;
        return (
          <div key={String(index)}>
            <p className="truncate bg-hover px-3 text-ink-3">{hunk.header}</p>
            {lines.map((line, at) => (
              <DiffLine key={String(at)} line={line} />
            ))}
          </div>
        );
      })}
      {total > limit && (
        <button
          type="button"
          data-testid="diff-more"
          className="px-8 font-sans text-small text-ink-2 underline hover:text-ink"
          onClick={() => (limit < MOST ? setLimit(MOST) : onWide())}
        >
          {plural(total - limit, "more line")}
          {limit < MOST ? "" : ": open the wide view"}
        </button>
      )}
    </div>
  );
}
