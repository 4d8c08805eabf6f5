import {
  Archive,
  Coins,
  Copy,
  Link,
  MoreHorizontal,
  OctagonPause,
  PanelRight,
  Pencil,
  Play,
  Trash2,
} from "lucide-react";
import { useState } from "react";
import { sessionNanos } from "../../main/contract/cost/cost.ts";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { archiveSession, deleteSession, renameSession } from "../api/sdk.ts";
import { money, percent, tokens } from "../format/numbers.ts";
import { act, interrupt, resume, useActions } from "../store/actions.ts";
import { canResume, groupOf, titleOf } from "../store/groups.ts";
import { setInspectorOpen, usePrefs } from "../store/kept/prefs.ts";
import { go } from "../store/route.ts";
import type { Timeline } from "../timeline/timeline.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { Glyph } from "../ui/glyph.tsx";
import { Menu, MenuItem } from "../ui/menu.tsx";
import { Tip } from "../ui/tip.tsx";
import { AskDialog } from "./ask_dialog.tsx";
import { BudgetDialog } from "./budget/budget_dialog.tsx";
import { DemoBadge, folderName, ranUntil } from "./facts.tsx";
import { inputTokens } from "./rows/cells.ts";
import { SandboxChip } from "./sandbox/sandbox_chip.tsx";

interface TitleBarProps {
  summary: SessionSummary;
  timeline: Timeline;
  live: boolean;
}

export function TitleBar({ summary, timeline, live }: TitleBarProps) {
  const { fold } = summary;
  const busy = useActions((state) => state.busy);
  const inspectorOpen = usePrefs((state) => state.inspectorOpen);
  const running = live && summary.activity === "running";
  return (
    <header className="flex shrink-0 items-center gap-3 px-4 pt-3 pb-2 max-[900px]:pl-12">
      <div className="min-w-0 flex-1">
        <div className="flex items-center gap-2">
          <Glyph group={groupOf(summary)} live={live} />
          <h1 className="min-w-0 truncate text-lead font-semibold" data-testid="session-title">
            {titleOf(summary)}
          </h1>
          {fold.demo && <DemoBadge />}
        </div>
        <Facts summary={summary} timeline={timeline} running={running} />
      </div>
      <div className="flex shrink-0 items-center gap-1.5">
        {canResume(summary) && (
          <Button
            look="primary"
            hint="R"
            icon={<Play size={14} aria-hidden />}
            disabled={!live || busy.has(`resume ${summary.id}`)}
            onClick={() => void resume(summary.id)}
            data-testid="resume"
          >
            {summary.work === "later" ? "Retry now" : "Resume"}
          </Button>
        )}
        {running && (
          <Button
            hint="I"
            icon={<OctagonPause size={14} aria-hidden />}
            disabled={busy.has(`interrupt ${summary.id}`)}
            onClick={() => void interrupt(summary.id)}
            data-testid="interrupt"
          >
            Interrupt
          </Button>
        )}
        <SessionMenu summary={summary} />
        <IconButton
          label={inspectorOpen ? "Hide the inspector" : "Show the inspector"}
          onClick={() => setInspectorOpen(!inspectorOpen)}
        >
          <PanelRight size={16} aria-hidden />
        </IconButton>
      </div>
    </header>
  );
}

function Facts({ summary, timeline, running }: { summary: SessionSummary; timeline: Timeline; running: boolean }) {
  const { fold } = summary;
  const all = inputTokens(fold.usage);
  const cached = percent(fold.usage.cache_read_input_tokens, all);
  const folders = fold.resources.flatMap((resource) => (resource.type === "local_repository" ? [resource.path] : []));
  return (
    <div className="flex min-w-0 items-center overflow-hidden pl-[22px] text-small text-ink-2">
      <p className="min-w-0 truncate">
        {folders.map((path) => (
          <span key={path} title={path}>
            {folderName(path)}
            <Dot />
          </span>
        ))}
        <span className="hidden @min-[760px]:inline">
          {fold.agent.name}
          <Dot />
        </span>
        {fold.agent.model.id}
      </p>
      <span className="shrink-0 px-0.5 text-ink-3">·</span>
      <SandboxChip fold={fold} timeline={timeline} running={running} />
      {all > 0 && (
        <Tip
          label={`${fold.usage.input_tokens} new, ${fold.usage.cache_creation_input_tokens} written to the cache, ${fold.usage.cache_read_input_tokens} read from it; ${fold.usage.output_tokens} out`}
        >
          <span
            className={`num hidden min-w-0 shrink-[99] truncate whitespace-pre ${running || canResume(summary) ? "@min-[720px]:inline" : "@min-[560px]:inline"}`}
          >
            <Dot />
            {tokens(all + fold.usage.output_tokens)} tokens
            {cached !== null && <span className="hidden @min-[760px]:inline"> ({cached} cached)</span>}
            {fold.cost.unpriced === 0 && fold.cost.nanos > 0 && (
              <>
                <Dot />
                {money(sessionNanos(fold, ranUntil(fold, running)))}
              </>
            )}
          </span>
        </Tip>
      )}
    </div>
  );
}

function Dot() {
  return <span className="text-ink-3"> · </span>;
}

function SessionMenu({ summary }: { summary: SessionSummary }) {
  const [asking, setAsking] = useState<"rename" | "budget" | "delete" | null>(null);
  const { id, fold } = summary;
  const copy = (text: string): void => void act("copy", () => navigator.clipboard.writeText(text));
  return (
    <>
      <Menu
        trigger={
          <IconButton label="More" data-testid="session-menu">
            <MoreHorizontal size={16} aria-hidden />
          </IconButton>
        }
      >
        <MenuItem
          icon={<Pencil size={14} aria-hidden />}
          disabled={fold.archived_at !== null}
          onSelect={() => setAsking("rename")}
        >
          Rename…
        </MenuItem>
        {fold.budget !== null && (
          <MenuItem
            icon={<Coins size={14} aria-hidden />}
            disabled={fold.archived_at !== null || fold.phase === "terminated"}
            onSelect={() => setAsking("budget")}
          >
            Change budget…
          </MenuItem>
        )}
        <MenuItem icon={<Copy size={14} aria-hidden />} onSelect={() => copy(id)}>
          Copy session id
        </MenuItem>
        <MenuItem icon={<Link size={14} aria-hidden />} onSelect={() => copy(location.href)}>
          Copy link to this place
        </MenuItem>
        <MenuItem
          icon={<Archive size={14} aria-hidden />}
          disabled={fold.archived_at !== null || summary.activity === "running"}
          onSelect={() => void act("archive", () => archiveSession(id))}
        >
          Archive
        </MenuItem>
        <MenuItem
          danger
          icon={<Trash2 size={14} aria-hidden />}
          disabled={summary.activity === "running"}
          onSelect={() => setAsking("delete")}
        >
          Delete…
        </MenuItem>
      </Menu>
      <AskDialog
        open={asking === "rename"}
        title="Rename the session"
        field={{ label: "Title", value: fold.title ?? "" }}
        action="Rename"
        onClose={() => setAsking(null)}
        onDone={(title) => void act("rename", () => renameSession(id, title))}
      />
      <BudgetDialog fold={fold} open={asking === "budget"} onClose={() => setAsking(null)} />
      <AskDialog
        open={asking === "delete"}
        title="Delete the session?"
        text="Its events, its sandbox and the files in it are removed for good. Your own folders are not touched. To keep the record, archive it instead."
        action="Delete for good"
        danger
        onClose={() => setAsking(null)}
        onDone={() => void act("delete", () => deleteSession(id)).then((done) => done && go({ screen: "home" }))}
      />
    </>
  );
}
