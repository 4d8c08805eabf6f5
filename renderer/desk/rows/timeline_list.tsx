import { useVirtualizer } from "@tanstack/react-virtual";
import { ArrowDown } from "lucide-react";
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import type { Feed } from "../../store/feed.ts";
import { usePrefs } from "../../store/kept/prefs.ts";
import {
  anchorOf,
  setAnchor,
  setOpened,
  setWindow,
  toggleCollapsed,
  useView,
  type View,
  viewOf,
} from "../../store/kept/view.ts";
import { Flattener, type Line } from "../../timeline/flatten.ts";
import type { Row, SandboxRow } from "../../timeline/row.ts";
import { Button } from "../../ui/button.tsx";
import { Scroll } from "../../ui/scroll.tsx";
import { LineFrame } from "./line_frame.tsx";
import { registerList } from "./list_keys.ts";
import { RowBody } from "./row_body.tsx";
import { RowLine } from "./row_line.tsx";
import { TurnLine } from "./turn_line.tsx";

const ROW = 28;
/** Turns and the queue have some air above them. */
const HEADED = 36;
/** Within this many pixels of the end, the list follows what comes. */
const NEAR_END = 40;

interface TimelineListProps {
  feed: Feed;
  running: boolean;
  selected: string | null;
  onSelect: (row: string, open: boolean) => void;
}

/** A row's body is shown when the person opened it, or when what it says is happening or is the result of the turn. */
function isOpened(row: Row, view: View, feed: Feed): boolean {
  const byHand = view.opened.get(row.id);
  if (byHand !== undefined) return byHand;
  if (row.kind === "tool") return row.state === "running" && feed.live.outputs.has(row.id);
  if (row.kind === "sandbox") return isSandboxOpened(row, feed);
  // What a person can do about it stands in the body.
  if (row.kind === "notice") return row.code === "sign_in" && row.turn === feed.timeline.turns.length - 1;
  if (row.kind !== "request") return false;
  if (row.state === "open") return feed.live.previews.some(({ thread, text }) => thread === row.thread && text !== "");
  return row.calls.length === 0 && row.what !== "" && row.turn === feed.timeline.turns.length - 1;
}

/** Provisioning that took at least this long has steps worth seeing while its turn is the newest. */
const SLOW_SANDBOX_MS = 5000;

/** A sandbox tells its steps by itself while they go on, when they took long, and when something went wrong. */
function isSandboxOpened(row: SandboxRow, feed: Feed): boolean {
  if (row.state === "provisioning") return row.steps.length > 0 || feed.live.sandboxProgress !== null;
  if (row.state === "failed" || row.notice !== null) return true;
  return (row.end ?? row.at) - row.at >= SLOW_SANDBOX_MS && row.turn === feed.timeline.turns.length - 1;
}

export function TimelineList({ feed, running, selected, onSelect }: TimelineListProps) {
  const { timeline, id: session } = feed;
  const view = useView(session);
  const hiddenLanes = usePrefs((state) => state.hiddenLanes);
  const [flattener] = useState(() => new Flattener());
  const { revision } = timeline;
  const lines = useMemo(() => {
    void revision;
    return flattener.lines(timeline, { collapsed: view.collapsed, hiddenLanes });
  }, [flattener, timeline, revision, view.collapsed, hiddenLanes]);
  const scroller = useRef<HTMLDivElement>(null);
  const [following, setFollowing] = useState(() => anchorOf(session) === null);
  const seen = useRef(0);

  const virtualizer = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: useCallback((index: number) => (lines[index]?.kind === "row" ? ROW : HEADED), [lines]),
    getItemKey: useCallback((index: number) => lines[index]?.id ?? index, [lines]),
    overscan: 16,
  });
  const items = virtualizer.getVirtualItems();
  const height = virtualizer.getTotalSize();

  useLayoutEffect(() => {
    const element = scroller.current;
    if (element === null || !following) return;
    element.scrollTop = element.scrollHeight;
    seen.current = timeline.lastSeq;
  });

  // Coming back to a place: once the events are there, the line that was on top is put there again.
  const restored = useRef(false);
  useLayoutEffect(() => {
    if (restored.current || !feed.caughtUp) return;
    restored.current = true;
    const anchor = anchorOf(session);
    const index = anchor === null ? -1 : lines.findIndex((line) => line.id === anchor);
    if (index >= 0) virtualizer.scrollToIndex(index, { align: "start" });
  });

  const onScroll = useCallback((): void => {
    const element = scroller.current;
    if (element === null) return;
    const atEnd = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END;
    setFollowing(atEnd);
    const first = virtualizer.getVirtualItems().find((item) => item.end > element.scrollTop);
    const line = first === undefined ? undefined : lines[first.index];
    setAnchor(session, atEnd || line === undefined ? null : line.id);
  }, [lines, session, virtualizer]);

  useEffect(() => {
    // The virtualizer's own numbers: asking the page for them would make it lay itself out.
    const top = virtualizer.scrollOffset ?? 0;
    const bottom = top + (virtualizer.scrollRect?.height ?? 0);
    const shown = items.filter((item) => item.end > top && item.start < bottom);
    const times = shown.flatMap((item) => timesOf(feed, lines[item.index]));
    if (times.length > 0) setWindow(session, Math.min(...times), Math.max(...times));
  });

  const select = useCallback(
    (row: string, open: boolean): void => {
      setFollowing(false);
      onSelect(row, open);
    },
    [onSelect],
  );

  // Keys and deep links move the selection from outside; the list makes it visible.
  const shownSelection = useRef<string | null>(null);
  useLayoutEffect(() => {
    if (selected === null || shownSelection.current === selected || !feed.caughtUp) return;
    const index = lines.findIndex((line) => line.id === selected);
    if (index < 0) return;
    shownSelection.current = selected;
    restored.current = true;
    setFollowing(false);
    virtualizer.scrollToIndex(index, { align: "auto" });
  });

  useEffect(() => {
    const toggleOpened = (id: string): void => {
      const row = timeline.rows.get(id);
      if (row !== undefined) setOpened(session, id, !isOpened(row, viewOf(session), feed));
    };
    return registerList({
      lines,
      select: (id) => select(id, false),
      toggleOpened,
      fold: (id) => toggleCollapsed(session, id),
    });
  }, [lines, session, timeline, feed, select]);

  const news = timeline.lastSeq - seen.current;
  return (
    <div className="relative min-h-0 flex-1">
      <Scroll
        ref={scroller}
        label="Timeline"
        data-testid="timeline"
        data-seq={timeline.lastSeq}
        onScroll={onScroll}
        className="absolute inset-0 overflow-x-hidden overscroll-contain outline-offset-[-2px] [overflow-anchor:none]"
      >
        <ol className="relative my-1" style={{ height }}>
          {items.map((item) => {
            const line = lines[item.index];
            if (line === undefined) return null;
            return (
              <li
                key={item.key}
                ref={virtualizer.measureElement}
                data-index={item.index}
                aria-setsize={lines.length}
                aria-posinset={item.index + 1}
                className="absolute inset-x-0 [contain:layout_style]"
                style={{ transform: `translateY(${item.start}px)` }}
              >
                <LineView
                  line={line}
                  feed={feed}
                  view={view}
                  running={running}
                  selected={line.id === selected}
                  onSelect={select}
                />
              </li>
            );
          })}
        </ol>
      </Scroll>
      {!following && news > 0 && (
        <Button
          look="plain"
          icon={<ArrowDown size={14} aria-hidden />}
          onClick={() => setFollowing(true)}
          data-testid="jump-to-end"
          className="absolute bottom-3 left-1/2 -translate-x-1/2 shadow-float"
        >
          Newer events
        </Button>
      )}
    </div>
  );
}

function timesOf(feed: Feed, line: Line | undefined): number[] {
  if (line?.kind === "row") {
    const row = feed.timeline.rows.get(line.id);
    return row === undefined ? [] : [row.at, row.end ?? feed.timeline.lastAt];
  }
  if (line?.kind !== "turn") return [];
  const turn = feed.timeline.turns[line.turn];
  return turn === undefined ? [] : [turn.at];
}

interface LineViewProps {
  line: Line;
  feed: Feed;
  view: View;
  running: boolean;
  selected: boolean;
  onSelect: (row: string, open: boolean) => void;
}

function LineView({ line, feed, view, running, selected, onSelect }: LineViewProps) {
  const session = feed.id;
  if (line.kind === "queue") {
    return (
      <div className="flex h-9 items-end gap-3 px-3 pb-1 text-small text-ink-2" data-testid="queue">
        <span>Queued: the agent reads {line.count === 1 ? "it" : "them"} when this turn is over</span>
        <span className="leader mb-2" aria-hidden />
      </div>
    );
  }
  if (line.kind === "turn") {
    const turn = feed.timeline.turns[line.turn];
    if (turn === undefined) return null;
    return (
      <div className="pt-2">
        <LineFrame
          id={line.id}
          selected={selected}
          fold={{ unfolded: line.open, label: "turn", onFold: () => toggleCollapsed(session, line.id) }}
          onSelect={() => onSelect(line.id, false)}
          onOpen={() => toggleCollapsed(session, line.id)}
          data={{ "data-testid": "turn", "data-state": turn.state }}
        >
          <TurnLine turn={turn} running={running && line.turn === feed.timeline.turns.length - 1} />
        </LineFrame>
      </div>
    );
  }
  const row = feed.timeline.rows.get(line.id);
  if (row === undefined) return null;
  const opened = isOpened(row, view, feed);
  return (
    <>
      <LineFrame
        id={row.id}
        selected={selected}
        opened={opened}
        fold={
          line.group ? { unfolded: line.open, label: "calls", onFold: () => toggleCollapsed(session, row.id) } : null
        }
        onSelect={() => onSelect(row.id, true)}
        onOpen={() => setOpened(session, row.id, !opened)}
        data={{
          "data-testid": "row",
          "data-kind": row.kind,
          "data-row": row.id,
          "data-state": "state" in row ? row.state : row.code,
        }}
      >
        <RowLine row={row} level={line.level} opened={opened} running={running} />
      </LineFrame>
      {opened && <RowBody row={row} feed={feed} />}
    </>
  );
}
