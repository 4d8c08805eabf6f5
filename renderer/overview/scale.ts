/**
 * Time to pixels. Where something happened the scale is linear; long stretches in which nothing did (asleep, no engine,
 * waiting for a person, at rest) get a small fixed width, because a night must not squeeze the work to one pixel.
 */

export type StretchKind = "busy" | "sleep" | "no_engine" | "waiting" | "idle";

export interface Stretch {
  kind: StretchKind;
  from: number;
  to: number;
  x0: number;
  x1: number;
}

export interface Span {
  from: number;
  to: number;
}

export interface Scale {
  stretches: readonly Stretch[];
  width: number;
}

const SHORTEST_GAP_MS = 15_000;
/** Of the time in which something happened: a shorter pause is drawn as it is. */
const GAP_SHARE = 0.04;
const MAX_GAPS_SHARE = 0.4;

/** Merges spans that touch or overlap, in order of time. */
export function mergeSpans(spans: readonly Span[]): Span[] {
  const out: Span[] = [];
  for (const span of [...spans].sort((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last !== undefined && span.from <= last.to) last.to = Math.max(last.to, span.to);
    else out.push({ from: span.from, to: Math.max(span.from, span.to) });
  }
  return out;
}

function subtract(spans: readonly Span[], holes: readonly Span[]): Span[] {
  let out = [...spans];
  for (const hole of holes) {
    out = out.flatMap((span) => {
      if (hole.to <= span.from || hole.from >= span.to) return [span];
      return [
        { from: span.from, to: Math.max(span.from, hole.from) },
        { from: Math.min(span.to, hole.to), to: span.to },
      ];
    });
  }
  return out;
}

/**
 * The scale for these busy spans on `width` pixels.
 * @param gaps known gaps with their kinds: they name a pause, and cut what was under way when they began
 */
export function makeScale(
  busy: readonly Span[],
  gaps: readonly (Span & { kind: Exclude<StretchKind, "busy"> })[],
  width: number,
): Scale {
  const merged = mergeSpans(busy);
  const total = merged.reduce((sum, span) => sum + span.to - span.from, 0);
  const shortest = Math.max(SHORTEST_GAP_MS, total * GAP_SHARE);
  const long = gaps.filter((gap) => gap.to - gap.from >= shortest);
  const pieces = mergeSpans(
    subtract(
      merged,
      long.filter((gap) => gap.kind !== "waiting"),
    ),
  );
  const stretches: Stretch[] = [];
  for (const piece of pieces) {
    const last = stretches.at(-1);
    if (last !== undefined && piece.from - last.to >= shortest) {
      const pause = { from: last.to, to: piece.from };
      stretches.push({ ...pause, kind: nameOf(pause, long), x0: 0, x1: 0 });
    }
    const before = stretches.at(-1);
    if (before?.kind === "busy") before.to = piece.to;
    else stretches.push({ from: before?.to ?? piece.from, to: piece.to, kind: "busy", x0: 0, x1: 0 });
  }
  place(stretches, width);
  return { stretches, width };
}

function nameOf(pause: Span, gaps: readonly (Span & { kind: Exclude<StretchKind, "busy"> })[]): StretchKind {
  let best: StretchKind = "idle";
  let most = (pause.to - pause.from) * 0.2;
  for (const gap of gaps) {
    const overlap = Math.min(gap.to, pause.to) - Math.max(gap.from, pause.from);
    if (overlap > most) {
      most = overlap;
      best = gap.kind;
    }
  }
  return best;
}

function place(stretches: Stretch[], width: number): void {
  const pauses = stretches.filter((stretch) => stretch.kind !== "busy").length;
  const busyMs = stretches.reduce((sum, s) => sum + (s.kind === "busy" ? s.to - s.from : 0), 0);
  const wished = Math.min(88, Math.max(24, width * 0.09));
  const pausePx = pauses === 0 ? 0 : Math.min(wished, (width * MAX_GAPS_SHARE) / pauses);
  const perMs = busyMs > 0 ? (width - pausePx * pauses) / busyMs : 0;
  let x = 0;
  for (const stretch of stretches) {
    stretch.x0 = x;
    x += stretch.kind === "busy" ? (stretch.to - stretch.from) * perMs : pausePx;
    stretch.x1 = x;
  }
}

/** Pixels from the left edge, before zoom; times outside are at the edges. */
export function toX(scale: Scale, time: number): number {
  const { stretches } = scale;
  let low = 0;
  let high = stretches.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((stretches[middle]?.to ?? 0) < time) low = middle + 1;
    else high = middle;
  }
  const stretch = stretches[low];
  if (stretch === undefined) return 0;
  const length = stretch.to - stretch.from;
  const share = length > 0 ? (time - stretch.from) / length : 0;
  return stretch.x0 + Math.min(1, Math.max(0, share)) * (stretch.x1 - stretch.x0);
}

/** The time at a pixel: the inverse of {@link toX}. */
export function toTime(scale: Scale, x: number): number {
  const stretch = scale.stretches.find((candidate) => x <= candidate.x1) ?? scale.stretches.at(-1);
  if (stretch === undefined) return 0;
  const length = stretch.x1 - stretch.x0;
  const share = length > 0 ? Math.min(1, Math.max(0, (x - stretch.x0) / length)) : 0;
  return stretch.from + share * (stretch.to - stretch.from);
}
