/** The session's sandbox in the session's head: kind and state at a glance, the rest on demand. */
import { Box, ChevronDown } from "lucide-react";
import type { SessionFold } from "../../../main/contract/fold.ts";
import { shortTime } from "../../format/times.ts";
import { Facts } from "../../inspector/section.tsx";
import { go } from "../../store/route.ts";
import type { NoticeRow, SandboxRow } from "../../timeline/row.ts";
import { ORIGINS, sandboxTitle } from "../../timeline/sandbox/words.ts";
import type { Timeline } from "../../timeline/timeline.ts";
import { Popover } from "../../ui/popover.tsx";
import { networkText } from "../facts.tsx";
import { isHosted, kindOf, packagesOf, settingOf } from "./settings.ts";
import { sandboxState } from "./state.ts";

interface SandboxChipProps {
  fold: SessionFold;
  timeline: Timeline;
  /** The engine works on the session now. */
  running: boolean;
}

export function SandboxChip({ fold, timeline, running }: SandboxChipProps) {
  const kind = kindOf(fold);
  const state = sandboxState(fold, running);
  const title = isHosted(fold) ? "Worker" : kind === null ? "Sandbox" : sandboxTitle(kind);
  return (
    <Popover
      title={title}
      testId="sandbox-details"
      trigger={
        <button
          type="button"
          data-testid="sandbox-chip"
          data-state={fold.sandbox?.state ?? "none"}
          className="inline-flex h-5 shrink-0 items-center gap-1 rounded-sm px-1 text-small text-ink-2 hover:bg-hover data-popup-open:bg-selected"
        >
          <Box size={12} aria-hidden className={state.look} />
          {title}
          <span className={state.look}>{state.text}</span>
          <ChevronDown size={12} aria-hidden className="text-ink-3" />
        </button>
      }
    >
      <p className="px-4 pt-1 text-ink-2">
        <span className={`font-medium ${state.look}`}>{state.text[0]?.toUpperCase() + state.text.slice(1)}.</span>{" "}
        {state.meaning}
      </p>
      <Facts facts={factsOf(fold, timeline)} />
      <Moments timeline={timeline} session={fold.session_id} />
    </Popover>
  );
}

function factsOf(fold: SessionFold, timeline: Timeline): [string, string | null][] {
  const { environment } = fold;
  if (isHosted(fold)) {
    return [
      ["Environment", environment.name],
      ["Can reach", networkText(fold)],
    ];
  }
  const embedded = kindOf(fold) === "embedded";
  const limit = (name: "memory" | "cpus" | "pids", byItself: string): string | null =>
    embedded ? null : settingOf(environment, name) || byItself;
  const checkpoint = newest(
    timeline,
    (row) => row.kind === "notice" && row.code === "checkpoint" && row.tone === "quiet",
  );
  return [
    ["Environment", environment.name],
    ["Image", embedded ? null : settingOf(environment, "image") || "Longhaul's own"],
    ["Memory", limit("memory", "the default")],
    ["Processors", limit("cpus", "the default")],
    ["Processes", limit("pids", "the default")],
    ["Runtime", settingOf(environment, "runtime") || null],
    ["Packages", packagesOf(environment).join("; ") || null],
    ["Can reach", networkText(fold)],
    [
      "Checkpoint",
      checkpoint === null
        ? null
        : `${shortTime(checkpoint.at)}${(checkpoint as NoticeRow).detail === "" ? "" : `, ${(checkpoint as NoticeRow).detail}`}`,
    ],
  ];
}

function newest(timeline: Timeline, wanted: (row: SandboxRow | NoticeRow) => boolean): SandboxRow | NoticeRow | null {
  let found: SandboxRow | NoticeRow | null = null;
  for (const row of timeline.rows.values())
    if ((row.kind === "sandbox" || row.kind === "notice") && wanted(row)) found = row;
  return found;
}

const MOMENTS = 5;

/** The last things that happened to it, as links into the timeline. */
function Moments({ timeline, session }: { timeline: Timeline; session: string }) {
  const rows = [...timeline.rows.values()].filter(
    (row) => row.kind === "sandbox" || (row.kind === "notice" && row.code === "sandbox_lost"),
  );
  if (rows.length === 0) return null;
  return (
    <ul className="border-t border-line p-2" aria-label="What happened to it">
      {rows.slice(-MOMENTS).map((row) => (
        <li key={row.id}>
          <button
            type="button"
            onClick={() => go({ screen: "session", id: session, event: row.id }, true)}
            className="flex w-full items-baseline gap-3 rounded-sm px-2 py-0.5 text-left hover:bg-hover"
          >
            <span className="num shrink-0 text-small text-ink-3">{shortTime(row.at)}</span>
            <span
              className={`line-clamp-3 min-w-0 flex-1 [overflow-wrap:anywhere] ${row.kind === "notice" ? "text-bad" : ""}`}
              title={row.what}
            >
              {row.what}
            </span>
            {row.kind === "sandbox" && row.how !== null && (
              <span className="shrink-0 text-small text-ink-3">{ORIGINS[row.how]}</span>
            )}
          </button>
        </li>
      ))}
    </ul>
  );
}
