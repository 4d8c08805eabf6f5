/** Draws the overview on a canvas. Knows pixels and colours, nothing of the product. */

import { clock, shortTime } from "../format/times.ts";
import type { Lane } from "../timeline/row.ts";
import { LANES } from "../timeline/row.ts";
import type { Marks } from "./marks.ts";
import { type Scale, type Stretch, toTime, toX } from "./scale.ts";
import { LANE_HEIGHT, laneY, type Palette, paintMark, TOP } from "./shapes.ts";

const AXIS = 17;
export const HEIGHT = TOP + LANES.length * LANE_HEIGHT + AXIS;

/** The part of the drawing that is visible, as shares of its width. */
export interface Zoom {
  from: number;
  to: number;
}

export interface Picture {
  marks: Marks;
  scale: Scale;
  zoom: Zoom;
  hidden: ReadonlySet<Lane>;
}

/** What changes with every movement in the list: kept apart, since drawing all marks anew for it would be felt. */
export interface Pointers {
  selected: string | null;
  /** Times of the first and last line that the list shows. */
  window: { from: number; to: number } | null;
}

export interface Box {
  row: string;
  lane: Lane;
  x0: number;
  x1: number;
}

/** Pixels at either end that keep marks there whole. */
const INSET = 6;

export function screenX(scale: Scale, zoom: Zoom, time: number): number {
  return INSET + ((toX(scale, time) / scale.width - zoom.from) / (zoom.to - zoom.from)) * (scale.width - 2 * INSET);
}

export function timeAtScreenX(scale: Scale, zoom: Zoom, x: number): number {
  return toTime(scale, shareAt(scale, zoom, x) * scale.width);
}

/** Which share of the whole drawing is at a pixel on screen. */
export function shareAt(scale: Scale, zoom: Zoom, x: number): number {
  const inside = Math.min(1, Math.max(0, (x - INSET) / Math.max(1, scale.width - 2 * INSET)));
  return zoom.from + inside * (zoom.to - zoom.from);
}

/** Draws everything and returns the boxes that can be pointed at, in drawing order. */
export function paint(context: CanvasRenderingContext2D, picture: Picture, palette: Palette): Box[] {
  const { scale } = picture;
  context.clearRect(0, 0, scale.width, HEIGHT);
  for (const lane of LANES) {
    context.fillStyle = palette.line;
    context.fillRect(0, laneY(lane) + LANE_HEIGHT - 0.5, scale.width, 0.5);
  }
  for (const stretch of scale.stretches) paintStretch(context, picture, palette, stretch);
  const boxes = paintMarks(context, picture, palette);
  paintBoundaries(context, picture, palette);
  for (const stretch of scale.stretches) paintGapName(context, picture, palette, stretch);
  paintAxis(context, picture, palette);
  return boxes;
}

/** Draws the list's window and the selected mark, to lie under the marks. */
export function paintPointers(
  context: CanvasRenderingContext2D,
  picture: Picture,
  pointers: Pointers,
  palette: Palette,
): void {
  const { scale, zoom } = picture;
  context.clearRect(0, 0, scale.width, HEIGHT);
  if (pointers.window !== null) paintWindow(context, picture, pointers.window, palette);
  const mark =
    pointers.selected === null
      ? undefined
      : picture.marks.marks.find((candidate) => candidate.row === pointers.selected && candidate.shape !== "line");
  if (mark === undefined) return;
  const x0 = screenX(scale, zoom, mark.from);
  const x1 = Math.max(x0 + 2, screenX(scale, zoom, mark.to));
  context.strokeStyle = palette.ink2;
  context.lineWidth = 1.5;
  context.strokeRect(x0 - 2.5, laneY(mark.lane) + 0.5, x1 - x0 + 5, LANE_HEIGHT - 2);
}

function paintWindow(
  context: CanvasRenderingContext2D,
  picture: Picture,
  window: { from: number; to: number },
  palette: Palette,
): void {
  const { width } = picture.scale;
  const x0 = Math.max(0, screenX(picture.scale, picture.zoom, window.from) - 2);
  const x1 = Math.min(width, Math.max(x0 + 8, screenX(picture.scale, picture.zoom, window.to) + 2));
  if (x1 - x0 > width * 0.97) return;
  const bottom = HEIGHT - AXIS + 2;
  context.fillStyle = palette.selected;
  context.globalAlpha = 0.6;
  context.fillRect(x0, 0, x1 - x0, bottom);
  context.globalAlpha = 1;
  context.fillStyle = palette.ink3;
  context.fillRect(x0, bottom, x1 - x0, 2);
}

const GAP_NAMES: Record<Stretch["kind"], string> = {
  busy: "",
  sleep: "asleep",
  no_engine: "no engine",
  waiting: "waiting",
  idle: "",
};

function paintStretch(context: CanvasRenderingContext2D, picture: Picture, palette: Palette, stretch: Stretch): void {
  if (stretch.kind === "busy") return;
  const { scale, zoom } = picture;
  const x0 = screenX(scale, zoom, stretch.from);
  const x1 = screenX(scale, zoom, stretch.to);
  if (x1 < 0 || x0 > scale.width) return;
  const bottom = HEIGHT - AXIS;
  if (stretch.kind === "sleep" || stretch.kind === "no_engine") {
    context.save();
    context.beginPath();
    context.rect(x0, TOP - 3, x1 - x0, bottom - TOP + 3);
    context.clip();
    context.strokeStyle = palette.lineStrong;
    context.globalAlpha = 0.6;
    context.lineWidth = 1;
    context.beginPath();
    // Hatching leans right for sleep and left for a missing engine.
    const lean = stretch.kind === "sleep" ? 1 : -1;
    for (let x = x0 - bottom; x < x1 + bottom; x += 6) {
      context.moveTo(x, lean > 0 ? bottom : 0);
      context.lineTo(x + bottom, lean > 0 ? 0 : bottom);
    }
    context.stroke();
    context.restore();
  } else {
    context.fillStyle = palette.lineStrong;
    for (let y = TOP + 1; y < bottom; y += 5) context.fillRect((x0 + x1) / 2, y, 1, 2);
  }
}

/** Names of gaps, above everything that crosses them. */
function paintGapName(context: CanvasRenderingContext2D, picture: Picture, palette: Palette, stretch: Stretch): void {
  const { scale, zoom } = picture;
  const x0 = screenX(scale, zoom, stretch.from);
  const x1 = screenX(scale, zoom, stretch.to);
  const bottom = HEIGHT - AXIS;
  const name = GAP_NAMES[stretch.kind];
  if (name === "" || x1 - x0 < 46 || x1 < 0 || x0 > scale.width) return;
  context.font = FONT;
  context.textAlign = "center";
  const half = context.measureText(name).width / 2 + 4;
  const middle = Math.min(scale.width - half, Math.max(half, (x0 + x1) / 2));
  context.fillStyle = palette.ground;
  context.fillRect(middle - half, bottom / 2 - 8, half * 2, 16);
  context.fillStyle = palette.ink2;
  context.fillText(name, middle, bottom / 2 + 4);
}

const FONT = '10.5px "Inter Variable", sans-serif';

function paintMarks(context: CanvasRenderingContext2D, picture: Picture, palette: Palette): Box[] {
  const { scale, zoom, hidden } = picture;
  const boxes: Box[] = [];
  const lastX: Record<string, number> = {};
  for (const mark of picture.marks.marks) {
    if (hidden.has(mark.lane) && mark.tone !== "waiting") continue;
    const x0 = screenX(scale, zoom, mark.from);
    const x1 = Math.max(x0, screenX(scale, zoom, mark.to));
    if (x1 < -4 || x0 > scale.width + 4) continue;
    const box = { row: mark.row, lane: mark.lane, x0, x1 };
    // Marks closer than a pixel look like one: draw only those that say something the first does not.
    const key = `${mark.lane}${mark.tone}${mark.shape}`;
    if (x1 - (lastX[key] ?? -9) < 0.7) continue;
    lastX[key] = x1;
    paintMark(context, palette, mark, x0, x1, (time) => screenX(scale, zoom, time));
    if (mark.shape !== "line") boxes.push(box);
  }
  return boxes;
}

function paintBoundaries(context: CanvasRenderingContext2D, picture: Picture, palette: Palette): void {
  const { scale, zoom } = picture;
  context.font = FONT;
  context.textAlign = "left";
  for (const boundary of picture.marks.boundaries) {
    const x = screenX(scale, zoom, boundary.at);
    if (x < -2 || x > scale.width + 2) continue;
    context.strokeStyle = palette.bad;
    context.lineWidth = 1.25;
    context.setLineDash([3, 2.5]);
    context.beginPath();
    context.moveTo(x, 0);
    context.lineTo(x, HEIGHT - AXIS + 3);
    context.stroke();
    context.setLineDash([]);
  }
}

function paintAxis(context: CanvasRenderingContext2D, picture: Picture, palette: Palette): void {
  const { scale, zoom } = picture;
  if (scale.stretches.length === 0) return;
  context.font = FONT;
  context.fillStyle = palette.ink3;
  const y = HEIGHT - 4;
  const count = Math.max(2, Math.floor(scale.width / 130));
  let right = -20;
  let day = new Date().toDateString();
  for (let i = 0; i <= count; i++) {
    const x = (i / count) * scale.width;
    const time = timeAtScreenX(scale, zoom, x);
    const near = timeAtScreenX(scale, zoom, x + 60) - timeAtScreenX(scale, zoom, x - 60);
    const date = new Date(time).toDateString();
    const label = date !== day ? shortTime(time) : near < 300_000 ? clock(time) : clock(time).slice(0, 5);
    const width = context.measureText(label).width;
    const at = Math.min(scale.width - width, Math.max(0, x - width / 2));
    if (at < right + 16) continue;
    context.textAlign = "left";
    context.fillText(label, at, y);
    right = at + width;
    day = date;
  }
}
