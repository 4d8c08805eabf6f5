import { memo } from "react";
import { duration } from "../../format/numbers.ts";
import { exactTime, shortTime } from "../../format/times.ts";
import type { Turn } from "../../timeline/row.ts";
import { useNow } from "../../ui/media.ts";
import { activeMs, turnCells } from "./cells.ts";
import { TONE_TEXT } from "./tones.ts";

interface TurnLineProps {
  turn: Turn;
  running: boolean;
}

/** The line above a turn: its number, totals, and the time it ran. */
export const TurnLine = memo(function TurnLine({ turn, running }: TurnLineProps) {
  const ticking = running && turn.runningSince !== null;
  const now = useNow(ticking);
  const active = activeMs(turn, ticking ? now : (turn.runningSince ?? 0));
  return (
    <span className="flex h-7 items-center gap-3 pr-6 text-small text-ink-2">
      <span className="shrink-0 font-medium text-ink">Turn {turn.number}</span>
      <time className="shrink-0 text-ink-3" dateTime={new Date(turn.at).toISOString()} title={exactTime(turn.at)}>
        {shortTime(turn.at)}
      </time>
      <span className="num flex min-w-0 gap-3 overflow-hidden whitespace-nowrap">
        {turnCells(turn).map((cell) => (
          <span
            key={cell.text}
            className={`${TONE_TEXT[cell.tone]} ${cell.wide === true ? "hidden @min-[680px]:inline" : ""}`}
          >
            {cell.text}
          </span>
        ))}
      </span>
      <span className="leader" aria-hidden />
      <span className="num shrink-0 text-ink">{duration(active)}</span>
    </span>
  );
});
