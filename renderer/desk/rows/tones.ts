/** Class names for lanes and tones, written out so that the style sheet finds them. */
import type { Lane, Row } from "../../timeline/row.ts";
import type { Tone } from "./cells.ts";

export const LANE_TEXT: Record<Lane, string> = {
  model: "text-model",
  tools: "text-tools",
  sandbox: "text-sandbox",
  you: "text-you",
  infra: "text-infra",
};

export const LANE_FILL: Record<Lane, string> = {
  model: "bg-model",
  tools: "bg-tools",
  sandbox: "bg-sandbox",
  you: "bg-you",
  infra: "bg-infra",
};

export const TONE_TEXT: Record<Tone, string> = {
  quiet: "text-ink-3",
  plain: "text-ink-2",
  bad: "text-bad",
  waiting: "text-accent-text font-medium",
  unknown: "text-bad font-medium",
};

/** True when a row tells of something that went wrong. */
export function isBad(row: Row): boolean {
  if (row.kind === "notice") return row.tone === "bad" || row.tone === "unknown";
  if (row.kind === "tool") return row.state === "failed" || row.state === "unknown" || row.state === "cut_off";
  if (row.kind === "request") return row.state === "failed" || row.state === "cut_off";
  return row.kind === "sandbox" && (row.state === "failed" || row.state === "cut_off");
}
