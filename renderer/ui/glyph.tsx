/** State of a session as a shape, so that it is told without colour too. */
import type { Group } from "../store/groups.ts";

const NAMES: Record<Group, string> = {
  needs_you: "needs you",
  running: "running",
  waiting: "waiting",
  idle: "idle",
  archived: "archived",
};

/** `live` is false when the engine does not answer: what it last said is shown without motion. */
export function Glyph({ group, live }: { group: Group; live: boolean }) {
  return (
    <svg viewBox="0 0 16 16" width="14" height="14" role="img" aria-label={NAMES[group]} className="shrink-0">
      {group === "needs_you" && <path d="M8 2.5 13.5 8 8 13.5 2.5 8Z" className="fill-accent" />}
      {group === "running" && (
        <g className={live ? "turning origin-center text-model" : "text-ink-3"}>
          <circle cx="8" cy="8" r="4.75" fill="none" stroke="currentColor" strokeWidth="1.5" opacity="0.35" />
          <path
            d="M8 3.25A4.75 4.75 0 0 1 12.75 8"
            fill="none"
            stroke="currentColor"
            strokeWidth="2"
            strokeLinecap="round"
          />
        </g>
      )}
      {group === "waiting" && (
        <circle
          cx="8"
          cy="8"
          r="4.75"
          fill="none"
          strokeWidth="1.5"
          strokeDasharray="2.4 2.6"
          className="stroke-ink-2"
        />
      )}
      {group === "idle" && <circle cx="8" cy="8" r="3" className="fill-ink-3/70" />}
      {group === "archived" && <path d="M4.5 8h7" strokeWidth="1.5" className="stroke-ink-3" />}
    </svg>
  );
}
