import { type PointerEvent, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { labelOf, lengthOf, lengthText, whatOf } from "../desk/rows/cells.ts";
import { LANE_TEXT } from "../desk/rows/tones.ts";
import { duration } from "../format/numbers.ts";
import { shortTime } from "../format/times.ts";
import { toggleLane, usePrefs } from "../store/kept/prefs.ts";
import { useWindow } from "../store/kept/view.ts";
import { LANES, type Lane } from "../timeline/row.ts";
import type { Timeline } from "../timeline/timeline.ts";
import { useMedia, useNow, useThrottled } from "../ui/media.ts";
import { Tip } from "../ui/tip.tsx";
import { collectMarks, type Marks } from "./marks.ts";
import { type Box, HEIGHT, paint, paintPointers, screenX, shareAt, type Zoom } from "./paint.ts";
import { sandboxStory } from "./sandbox_marks.ts";
import { makeScale } from "./scale.ts";
import { LANE_HEIGHT, laneY, type Palette } from "./shapes.ts";

interface OverviewProps {
  session: string;
  timeline: Timeline;
  running: boolean;
  selected: string | null;
  onSelect: (row: string) => void;
}

const WHOLE: Zoom = { from: 0, to: 1 };
/** Pixels that the pointer must move before a click becomes a drag. */
const DRAG = 5;
/** The picture is drawn anew at most this often while a session runs. */
const EVERY_MS = 250;
/** Rows from which on it is drawn less often. */
const MANY = 20_000;
const SELDOM_MS = 2000;

function readPalette(element: Element): Palette {
  const style = getComputedStyle(element);
  const color = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return {
    model: color("model"),
    tools: color("tools"),
    sandbox: color("sandbox"),
    you: color("accent-text"),
    infra: color("infra"),
    line: color("line"),
    lineStrong: color("line-strong"),
    ink2: color("ink-2"),
    ink3: color("ink-3"),
    bad: color("bad"),
    ground: color("ground"),
    selected: color("selected"),
    accent: color("accent"),
  };
}

/** Sizes a canvas for the screen's pixels and returns its context. */
function prepare(canvas: HTMLCanvasElement | null, width: number): CanvasRenderingContext2D | null {
  const context = canvas?.getContext("2d") ?? null;
  if (canvas === null || context === null || width === 0) return null;
  const ratio = devicePixelRatio;
  canvas.width = width * ratio;
  canvas.height = HEIGHT * ratio;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/** The picture of a session: time on x, one lane per kind. What it draws is in the list as text too. */
export function Overview({ session, timeline, running, selected, onSelect }: OverviewProps) {
  const holder = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const under = useRef<HTMLCanvasElement>(null);
  const boxes = useRef<Box[]>([]);
  const [width, setWidth] = useState(0);
  const [zoom, setZoom] = useState<Zoom>(WHOLE);
  const [pointed, setPointed] = useState<{ box: Box; x: number } | null>(null);
  const [drag, setDrag] = useState<{ from: number; to: number } | null>(null);
  const hidden = usePrefs((state) => state.hiddenLanes);
  const theme = usePrefs((state) => state.theme);
  const dark = useMedia("(prefers-color-scheme: dark)");
  const view = useWindow(session);
  const tick = useNow(running, timeline.rows.size > MANY ? SELDOM_MS : EVERY_MS);
  const now = running ? Math.max(tick, timeline.lastAt) : timeline.lastAt;

  useEffect(() => {
    const element = holder.current;
    if (element === null) return;
    const observer = new ResizeObserver(() => setWidth(element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  const revision = useThrottled(timeline.revision, timeline.rows.size > MANY ? SELDOM_MS : EVERY_MS);
  const picture = useMemo(() => {
    void revision;
    const marks = collectMarks(timeline, now, running);
    return { marks, scale: makeScale(marks.busy, marks.gaps, Math.max(1, width)), zoom, hidden };
  }, [timeline, revision, now, running, width, zoom, hidden]);

  // Reading colours makes the browser compute styles: once per theme, not once per movement.
  const palette = useMemo(() => {
    void theme;
    void dark;
    return readPalette(document.documentElement);
  }, [theme, dark]);

  useEffect(() => {
    const context = prepare(canvas.current, width);
    if (context !== null) boxes.current = paint(context, picture, palette);
  }, [picture, width, palette]);

  useEffect(() => {
    const context = prepare(under.current, width);
    if (context !== null) paintPointers(context, picture, { selected, window: view }, palette);
  }, [picture, selected, view, width, palette]);

  const find = useCallback((x: number, y: number): Box | null => {
    let best: Box | null = null;
    let distance = 7;
    for (const box of boxes.current) {
      const top = laneY(box.lane);
      if (y < top || y > top + LANE_HEIGHT) continue;
      const off = x < box.x0 ? box.x0 - x : x > box.x1 ? x - box.x1 : 0;
      if (off <= distance) {
        distance = off;
        best = box;
      }
    }
    return best;
  }, []);

  const place = (event: PointerEvent): { x: number; y: number } => {
    const area = event.currentTarget.getBoundingClientRect();
    return { x: event.clientX - area.left, y: event.clientY - area.top };
  };
  const onDown = (event: PointerEvent): void => {
    event.currentTarget.setPointerCapture(event.pointerId);
    const { x } = place(event);
    setDrag({ from: x, to: x });
  };
  const onMove = (event: PointerEvent): void => {
    const { x, y } = place(event);
    if (drag !== null) setDrag({ from: drag.from, to: x });
    const box = find(x, y);
    setPointed(box === null ? null : { box, x });
  };
  const onUp = (event: PointerEvent): void => {
    const { x, y } = place(event);
    if (drag !== null && Math.abs(x - drag.from) > DRAG) {
      const [a, b] = [drag.from, x].sort((left, right) => left - right);
      const share = (at: number): number => shareAt(picture.scale, zoom, at);
      if (a !== undefined && b !== undefined) setZoom({ from: share(a), to: share(b) });
    } else {
      const row = find(x, y)?.row ?? nearestGap(picture.marks, (time) => screenX(picture.scale, zoom, time), x);
      if (row !== null) onSelect(row);
    }
    setDrag(null);
  };

  return (
    <div className="flex shrink-0 border-b border-line pr-3 pl-1.5" data-testid="overview">
      <LaneLabels hidden={hidden} />
      <div ref={holder} className="relative min-w-0 flex-1">
        <canvas ref={under} aria-hidden style={{ width, height: HEIGHT }} className="absolute top-0 left-0" />
        <canvas
          ref={canvas}
          role="img"
          aria-label={describe(timeline, picture.marks)}
          style={{ width, height: HEIGHT }}
          className="relative block touch-none"
          onPointerDown={onDown}
          onPointerMove={onMove}
          onPointerUp={onUp}
          onPointerLeave={() => setPointed(null)}
          onDoubleClick={() => setZoom(WHOLE)}
        />
        {drag !== null && Math.abs(drag.to - drag.from) > DRAG && (
          <div
            className="pointer-events-none absolute inset-y-0 border-x border-ink-2 bg-ink-2/10"
            style={{ left: Math.min(drag.from, drag.to), width: Math.abs(drag.to - drag.from) }}
          />
        )}
        {zoom !== WHOLE && (
          <button
            type="button"
            onClick={() => setZoom(WHOLE)}
            className="absolute top-0.5 right-0 rounded bg-raised px-2 text-meta text-ink-2 shadow-float hover:text-ink"
          >
            Show all
          </button>
        )}
        {pointed !== null && drag === null && (
          <Pointed timeline={timeline} box={pointed.box} x={pointed.x} width={width} now={now} />
        )}
      </div>
    </div>
  );
}

function LaneLabels({ hidden }: { hidden: ReadonlySet<Lane> }) {
  return (
    <div className="w-[76px] shrink-0 pt-[5px]">
      {LANES.map((lane) => (
        <Tip
          key={lane}
          label={hidden.has(lane) ? `Show ${lane} in the list` : `Hide ${lane} from the list`}
          side="right"
        >
          <button
            type="button"
            aria-pressed={!hidden.has(lane)}
            onClick={() => toggleLane(lane)}
            style={{ height: LANE_HEIGHT }}
            className={`block pl-5 text-left text-meta leading-[15px] ${hidden.has(lane) ? "text-ink-3 line-through" : LANE_TEXT[lane]}`}
          >
            {lane}
          </button>
        </Tip>
      ))}
    </div>
  );
}

interface PointedProps {
  timeline: Timeline;
  box: Box;
  x: number;
  width: number;
  now: number;
}

function Pointed({ timeline, box, x, width, now }: PointedProps) {
  const row = timeline.rows.get(box.row);
  if (row === undefined) return null;
  const length = lengthText(lengthOf(row), now);
  return (
    <div
      className="pointer-events-none absolute z-20 max-w-80 truncate rounded bg-raised px-2 py-1 text-small shadow-float"
      style={{ top: laneY(box.lane) + LANE_HEIGHT + 4, left: Math.max(0, Math.min(x - 20, width - 330)) }}
    >
      <span className={LANE_TEXT[row.lane]}>{labelOf(row)}</span>{" "}
      <span className="num text-ink-3">
        {shortTime(row.at)} {length}
      </span>{" "}
      {whatOf(row)}
    </div>
  );
}

/** A click into a hatched gap or on a boundary leads to the row that tells about it. */
function nearestGap(marks: Marks, x: (time: number) => number, at: number): string | null {
  for (const boundary of marks.boundaries) if (Math.abs(x(boundary.at) - at) < 6) return boundary.row;
  for (const gap of marks.gaps) if (gap.kind !== "waiting" && x(gap.from) <= at && at <= x(gap.to)) return gap.row;
  return null;
}

function describe(timeline: Timeline, marks: Marks): string {
  const turns = timeline.turns.filter((turn) => turn.number > 0).length;
  const first = timeline.turns[0];
  const parts = [`Overview: ${turns} turns`];
  if (first !== undefined) parts.push(`from ${shortTime(first.at)} to ${shortTime(timeline.lastAt)}`);
  for (const boundary of marks.boundaries) parts.push(`cut off at ${shortTime(boundary.at)}: ${boundary.label}`);
  for (const gap of marks.gaps) {
    if (gap.kind === "sleep") parts.push(`asleep from ${shortTime(gap.from)} for ${duration(gap.to - gap.from)}`);
  }
  parts.push(...sandboxStory(timeline));
  return `${parts.join(", ")}. The list below has everything as text.`;
}
