import { memo } from "react";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { ago, exactTime, millis } from "../format/times.ts";
import { type Group, reasonOf, titleOf } from "../store/groups.ts";
import { go } from "../store/route.ts";
import { Glyph } from "../ui/glyph.tsx";

interface SessionItemProps {
  summary: SessionSummary;
  group: Group;
  live: boolean;
  current: boolean;
  now: number;
}

/** One session in the list: what it is, and in one phrase where it stands. */
export const SessionItem = memo(function SessionItem({ summary, group, live, current, now }: SessionItemProps) {
  const at = millis(summary.fold.updated_at);
  const reason = reasonOf(summary);
  return (
    <button
      type="button"
      aria-current={current ? "page" : undefined}
      data-testid="session-item"
      data-session={summary.id}
      data-group={group}
      onClick={() => go({ screen: "session", id: summary.id, event: null })}
      className={`flex w-full items-start gap-2 rounded px-2 py-1 text-left outline-offset-[-2px] ${current ? "bg-selected" : "hover:bg-hover"}`}
    >
      <span className="flex h-5 items-center">
        <Glyph group={group} live={live} />
      </span>
      <span className="min-w-0 flex-1">
        <span className="flex items-baseline gap-2">
          <span
            className={`min-w-0 flex-1 truncate ${group === "archived" || group === "idle" ? "text-ink-2" : "text-ink"}`}
          >
            {titleOf(summary)}
          </span>
          <time className="num shrink-0 text-meta text-ink-3" dateTime={summary.fold.updated_at} title={exactTime(at)}>
            {ago(at, now)}
          </time>
        </span>
        <span className={`block truncate text-meta ${group === "needs_you" ? "text-accent-text" : "text-ink-3"}`}>
          {summary.fold.demo && <span className="text-model">demo · </span>}
          {reason === "" ? "no events yet" : reason}
        </span>
      </span>
    </button>
  );
});
