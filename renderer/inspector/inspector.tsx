import { X } from "lucide-react";
import type { ReactNode } from "react";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { FilesTab } from "../changes/files_tab.tsx";
import { labelOf } from "../desk/rows/cells.ts";
import { isBad, LANE_TEXT } from "../desk/rows/tones.ts";
import type { Feed } from "../store/feed.ts";
import { type InspectorTab, setTab, usePrefs } from "../store/kept/prefs.ts";
import { go, routeHash } from "../store/route.ts";
import type { Row, Turn } from "../timeline/row.ts";
import { IconButton } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy.tsx";
import { Scroll } from "../ui/scroll.tsx";
import { ContextTab } from "./context_tab.tsx";
import { RawTab } from "./raw_tab.tsx";
import { RowFacts } from "./row_facts.tsx";
import { SessionFacts } from "./session_facts.tsx";
import { TurnFacts } from "./turn_facts.tsx";

const TABS: readonly { id: InspectorTab; label: string }[] = [
  { id: "rendered", label: "Rendered" },
  { id: "raw", label: "Raw JSON" },
  { id: "context", label: "Context" },
  { id: "files", label: "Files" },
];

interface InspectorProps {
  feed: Feed;
  summary: SessionSummary;
  selected: string | null;
  running: boolean;
  /** Given where the inspector lies over the desk: closes it. */
  onClose?: () => void;
}

/** Everything about what is selected; about the whole session when nothing is. */
export function Inspector({ feed, summary, selected, running, onClose }: InspectorProps) {
  const tab = usePrefs((state) => state.tab);
  const row = selected === null ? undefined : feed.timeline.rows.get(selected);
  const turn = selected === null ? undefined : feed.timeline.turns.find((candidate) => candidate.id === selected);
  return (
    <div className="flex min-h-0 flex-1 flex-col" data-testid="inspector">
      <Head session={feed.id} row={row} turn={turn} onClose={onClose} />
      <div role="tablist" aria-label="Inspector" className="flex shrink-0 gap-1 border-b border-line px-2">
        {TABS.map(({ id, label }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`tab-${id}`}
            aria-selected={tab === id}
            aria-controls="tab-panel"
            data-testid={`tab-${id}`}
            onClick={() => setTab(id)}
            className={`relative h-8 rounded-t px-2 text-small outline-offset-[-2px] ${tab === id ? "text-ink after:absolute after:inset-x-2 after:bottom-0 after:h-0.5 after:bg-ink" : "text-ink-2 hover:text-ink"}`}
          >
            {label}
          </button>
        ))}
      </div>
      <Scroll
        id="tab-panel"
        role="tabpanel"
        label={TABS.find(({ id }) => id === tab)?.label ?? tab}
        className="min-h-0 flex-1 outline-offset-[-2px]"
      >
        {content(tab, feed, summary, row, turn, running)}
      </Scroll>
    </div>
  );
}

function content(
  tab: InspectorTab,
  feed: Feed,
  summary: SessionSummary,
  row: Row | undefined,
  turn: Turn | undefined,
  running: boolean,
): ReactNode {
  switch (tab) {
    case "rendered":
      if (row !== undefined) return <RowFacts key={row.id} feed={feed} row={row} running={running} />;
      if (turn !== undefined) return <TurnFacts feed={feed} turn={turn} />;
      return <SessionFacts feed={feed} summary={summary} running={running} />;
    case "raw":
      return <RawTab feed={feed} row={row} />;
    case "context":
      return <ContextTab feed={feed} row={row} />;
    case "files":
      return <FilesTab feed={feed} fold={summary.fold} running={running} />;
  }
}

interface HeadProps {
  session: string;
  row: Row | undefined;
  turn: Turn | undefined;
  onClose: (() => void) | undefined;
}

function Head({ session, row, turn, onClose }: HeadProps) {
  const id = row?.id ?? turn?.id;
  const title = row !== undefined ? labelOf(row) : turn !== undefined ? `Turn ${turn.number}` : "This session";
  const tone = row === undefined ? "" : isBad(row) ? "text-bad" : LANE_TEXT[row.lane];
  const link = (event: string): string =>
    `${location.origin}${location.pathname}${routeHash({ screen: "session", id: session, event })}`;
  const leave = onClose ?? ((): void => go({ screen: "session", id: session, event: null }, true));
  return (
    <div className="flex h-10 shrink-0 items-center gap-1 pr-2 pl-4">
      <h2 className={`min-w-0 flex-1 truncate font-semibold ${tone}`}>{title}</h2>
      {id !== undefined && <CopyButton text={link(id)} label="Copy link" />}
      {(id !== undefined || onClose !== undefined) && (
        <IconButton label={onClose === undefined ? "Back to the session" : "Close"} hint="Esc" onClick={leave}>
          <X size={14} aria-hidden />
        </IconButton>
      )}
    </div>
  );
}
