import { ChevronRight } from "lucide-react";
import { memo } from "react";
import { clock, exactTime } from "../../format/times.ts";
import type { Row } from "../../timeline/row.ts";
import { type Cell, labelOf, lengthOf, outcomeOf, whatOf } from "./cells.ts";
import { Elapsed } from "./elapsed.tsx";
import { isBad, LANE_FILL, LANE_TEXT, TONE_TEXT } from "./tones.ts";

interface RowLineProps {
  row: Row;
  level: 2 | 3;
  /** Its body is shown. */
  opened: boolean;
  running: boolean;
}

function isCode(row: Row): boolean {
  return row.kind === "tool";
}

/** An opened text begins right below: its first line need not be read twice. */
function isToldByBody(row: Row, opened: boolean): boolean {
  if (!opened) return false;
  return row.kind === "message" || (row.kind === "request" && row.purpose === "turn" && row.what !== "");
}

function isQuiet(row: Row): boolean {
  return row.kind === "notice" && row.tone === "quiet";
}

/** One closed row: time, kind, duration, what, outcome, in columns that line up. */
export const RowLine = memo(function RowLine({ row, level, opened, running }: RowLineProps) {
  const label = labelOf(row);
  const loud = row.kind === "message" || (row.kind === "request" && !isQuiet(row));
  return (
    <span className="relative flex h-7 items-center gap-3 pr-6">
      <span className="w-[52px] shrink-0 text-ink-3">
        <time className="text-small" dateTime={new Date(row.at).toISOString()} title={exactTime(row.at)}>
          {clock(row.at)}
        </time>
      </span>
      <span className={`flex w-[86px] shrink-0 items-center gap-2 ${level === 3 ? "pl-3" : ""}`}>
        <span
          className={`h-3.5 w-0.5 shrink-0 rounded-full ${isBad(row) ? "bg-bad" : LANE_FILL[row.lane]}`}
          aria-hidden
        />
        <span
          className={`truncate ${isBad(row) ? "text-bad" : LANE_TEXT[row.lane]}`}
          title={row.kind === "tool" ? row.name : undefined}
        >
          {label}
        </span>
      </span>
      <span className="num w-[62px] shrink-0 text-right text-small text-ink-2">
        <Elapsed length={lengthOf(row)} running={running} />
      </span>
      <span
        className={`min-w-0 flex-1 truncate ${isCode(row) ? "font-mono text-small" : ""} ${isQuiet(row) ? "text-ink-3" : loud ? "text-ink" : "text-ink-2"}`}
      >
        {row.who !== null && <span className="mr-2 font-sans text-ink-3">{row.who}</span>}
        {isToldByBody(row, opened) ? "" : whatOf(row)}
      </span>
      <Outcome cells={outcomeOf(row, running)} />
      <ChevronRight
        size={12}
        aria-hidden
        className={`absolute right-1.5 text-ink-3 transition-transform duration-100 ${opened ? "rotate-90" : ""} opacity-0 group-hover/line:opacity-100`}
      />
    </span>
  );
});

/** Cells at the right end, separated by space; the list truncates them last. */
export function Outcome({ cells }: { cells: readonly Cell[] }) {
  if (cells.length === 0) return null;
  return (
    <span className="num flex min-w-0 max-w-[50%] shrink-0 justify-end gap-3 overflow-hidden text-small whitespace-nowrap">
      {cells.map((cell) => (
        <span
          key={cell.text}
          className={`truncate ${TONE_TEXT[cell.tone]} ${cell.wide === true ? "hidden @min-[680px]:inline" : ""}`}
        >
          {cell.text}
        </span>
      ))}
    </span>
  );
}
