/** The shapes that marks of the overview have on the canvas. Knows pixels and colours, nothing of the product. */
import { LANES, type Lane } from "../timeline/row.ts";
import type { Mark } from "./marks.ts";

export const LANE_HEIGHT = 15;
export const TOP = 5;

export type Palette = Record<
  Lane | "line" | "lineStrong" | "ink2" | "ink3" | "bad" | "ground" | "selected" | "accent",
  string
>;

export function laneY(lane: Lane): number {
  return TOP + LANES.indexOf(lane) * LANE_HEIGHT;
}

/** Draws one mark between two pixels of its lane; `x` places the times inside it. */
export function paintMark(
  context: CanvasRenderingContext2D,
  palette: Palette,
  mark: Mark,
  x0: number,
  x1: number,
  x: (time: number) => number,
): void {
  const y = laneY(mark.lane);
  const middle = y + LANE_HEIGHT / 2 - 0.5;
  const color =
    mark.tone === "bad" || mark.tone === "unknown"
      ? palette.bad
      : mark.tone === "waiting"
        ? palette.accent
        : palette[mark.lane];
  context.fillStyle = color;
  context.strokeStyle = color;
  context.lineWidth = 1.25;
  if (mark.shape === "line") {
    context.globalAlpha = mark.tone === "bad" ? 0.9 : 0.45;
    const height = mark.lane === "sandbox" ? 3 : 1.5;
    context.fillRect(x0, middle - height / 2, Math.max(1, x1 - x0), height);
  } else if (mark.shape === "cross") paintCross(context, x0, middle);
  else if (mark.shape === "ring") paintRing(context, palette, x0, middle);
  else if (mark.shape === "dot") {
    context.beginPath();
    context.arc(x0, middle, mark.tone === "quiet" ? 1.75 : 3, 0, Math.PI * 2);
    context.fill();
  } else if (mark.shape === "diamond") paintDiamond(context, mark, x0, x1, middle);
  else {
    paintBar(context, mark, x0, x1, y);
    paintTicks(context, palette, mark, x0, x1, y, x);
  }
  context.globalAlpha = 1;
}

/** A loss: the line of its lane ends here. */
function paintCross(context: CanvasRenderingContext2D, x: number, middle: number): void {
  context.lineWidth = 2;
  context.beginPath();
  context.moveTo(x - 3.5, middle - 3.5);
  context.lineTo(x + 3.5, middle + 3.5);
  context.moveTo(x + 3.5, middle - 3.5);
  context.lineTo(x - 3.5, middle + 3.5);
  context.stroke();
}

/** A point at which something that went on was taken up again. */
function paintRing(context: CanvasRenderingContext2D, palette: Palette, x: number, middle: number): void {
  context.beginPath();
  context.arc(x, middle, 3.25, 0, Math.PI * 2);
  context.fillStyle = palette.ground;
  context.fill();
  context.lineWidth = 1.5;
  context.stroke();
}

/** Cuts a bar into its steps, where they are wide enough to be seen. */
function paintTicks(
  context: CanvasRenderingContext2D,
  palette: Palette,
  mark: Mark,
  x0: number,
  x1: number,
  y: number,
  x: (time: number) => number,
): void {
  context.fillStyle = palette.ground;
  context.globalAlpha = 1;
  let last = x0;
  for (const tick of mark.ticks ?? []) {
    const at = x(tick);
    if (at - last < 4 || x1 - at < 3) continue;
    context.fillRect(at - 0.5, y, 1, LANE_HEIGHT - 1);
    last = at;
  }
}

function paintDiamond(context: CanvasRenderingContext2D, mark: Mark, x0: number, x1: number, middle: number): void {
  context.globalAlpha = 0.45;
  context.fillRect(x0, middle - 0.75, Math.max(0, x1 - x0), 1.5);
  context.globalAlpha = 1;
  context.beginPath();
  context.moveTo(x0, middle - 5);
  context.lineTo(x0 + 5, middle);
  context.lineTo(x0, middle + 5);
  context.lineTo(x0 - 5, middle);
  context.closePath();
  if (mark.tone === "waiting") context.fill();
  else context.stroke();
}

/** Outcome is told by shape as well as colour: failed bars are taller, unknown ones hollow, live ones fade at the end. */
function paintBar(context: CanvasRenderingContext2D, mark: Mark, x0: number, x1: number, y: number): void {
  const width = Math.max(1.75, x1 - x0);
  const tall = mark.tone === "bad";
  const room = LANE_HEIGHT - (tall ? 4 : 7);
  // Calls that run at the same time share the lane's height.
  const height = mark.slots > 1 ? Math.max(2, (LANE_HEIGHT - 4) / mark.slots - 1) : room;
  const top = mark.slots > 1 ? y + 1.5 + mark.slot * (height + 1) : y + (tall ? 1 : 3);
  if (mark.tone === "unknown") {
    context.setLineDash([2, 2]);
    context.strokeRect(x0 + 0.5, top, Math.max(3, width - 1), height);
    context.setLineDash([]);
    return;
  }
  if (mark.tone === "waiting") {
    context.globalAlpha = 0.9;
    context.setLineDash([1.5, 2.5]);
    context.beginPath();
    context.moveTo(x0, top + height / 2);
    context.lineTo(x0 + width, top + height / 2);
    context.stroke();
    context.setLineDash([]);
    return;
  }
  context.globalAlpha = mark.tone === "quiet" ? 0.45 : mark.tone === "live" ? 0.75 : 0.95;
  if (width < 3) {
    context.fillRect(x0, top, width, height);
    return;
  }
  context.beginPath();
  context.roundRect(x0, top, width, height, 1.5);
  context.fill();
}
