import { useCallback, useEffect, useRef } from "react";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { Inspector } from "../inspector/inspector.tsx";
import { Overview } from "../overview/overview.tsx";
import { dismissProblem, useActions } from "../store/actions.ts";
import { announce } from "../store/announce.ts";
import { useEngine } from "../store/engine.ts";
import { type Feed, useFeed } from "../store/feed.ts";
import { setInspectorOpen, usePrefs } from "../store/kept/prefs.ts";
import { go } from "../store/route.ts";
import type { Turn } from "../timeline/row.ts";
import { eventAt } from "../timeline/timeline.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { useMedia } from "../ui/media.ts";
import { ProblemNote } from "../ui/problem_note.tsx";
import { ApprovalDock } from "./approval_dock.tsx";
import { BudgetNote } from "./budget/budget_note.tsx";
import { Composer } from "./composer.tsx";
import { PushDock } from "./push_dock.tsx";
import { TimelineList } from "./rows/timeline_list.tsx";
import { TitleBar } from "./title_bar.tsx";

interface SessionScreenProps {
  id: string;
  event: string | null;
}

/** What is known of the session: the stream's newest words, over the list's, with the state folded from the events. */
function summaryOf(feed: Feed, listed: SessionSummary | undefined): SessionSummary | null {
  const fold = feed.timeline.fold ?? listed?.fold;
  if (fold === undefined || fold === null) return null;
  const fresh = feed.state === "live";
  const activity = fresh ? feed.activity : (listed?.activity ?? null);
  const work = fresh ? feed.work : (listed?.work ?? "none");
  return { id: feed.id, fold, activity, work };
}

export function SessionScreen({ id, event }: SessionScreenProps) {
  const feed = useFeed(id);
  const listed = useEngine((state) => state.sessions.get(id));
  const connection = useEngine((state) => state.connection);
  const problem = useActions((state) => state.problem);
  const wide = useMedia("(min-width: 1100px)");
  const inspectorOpen = usePrefs((state) => state.inspectorOpen);
  const summary = summaryOf(feed, listed);
  const live = connection === "open" && feed.state !== "away";
  const running = live && summary?.activity === "running";
  // A link may name any event: it leads to the row that shows it.
  const selected = event === null ? null : resolve(feed, event);
  const narrow = useRef(!wide);
  narrow.current = !wide;

  const select = useCallback(
    (row: string, open: boolean): void => {
      go({ screen: "session", id, event: row }, true);
      if (open && narrow.current) setInspectorOpen(true);
    },
    [id],
  );
  useAnnouncedTurns(feed);

  if (feed.state === "missing" || feed.state === "deleted") return <Gone deleted={feed.state === "deleted"} />;
  if (summary === null) {
    return (
      <p className="p-8 text-ink-2">
        {live ? "Reading the session…" : "The session is shown when the engine answers."}
      </p>
    );
  }
  const shown = { feed, summary, selected, running };
  return (
    <div className="flex min-w-0 flex-1">
      <main className="@container flex min-w-0 flex-1 flex-col" data-testid="session" data-session={id}>
        <TitleBar summary={summary} timeline={feed.timeline} live={live} />
        <Overview
          session={id}
          timeline={feed.timeline}
          running={running}
          selected={selected}
          onSelect={(row) => select(row, false)}
        />
        <TimelineList key={id} feed={feed} running={running} selected={selected} onSelect={select} />
        {problem !== null && (
          <div className="px-3 pb-2">
            <ProblemNote problem={problem}>
              <button type="button" className="underline" onClick={dismissProblem}>
                Dismiss
              </button>
            </ProblemNote>
          </div>
        )}
        <ApprovalDock feed={feed} fold={summary.fold} live={live} />
        <PushDock session={summary.id} fold={summary.fold} live={live} />
        <BudgetNote summary={summary} live={live} />
        <Composer summary={summary} live={live} />
      </main>
      {wide && inspectorOpen && (
        <aside aria-label="Inspector" className="flex w-[400px] shrink-0 flex-col border-l border-line bg-panel">
          <Inspector {...shown} />
        </aside>
      )}
      {!wide && (
        <Dialog
          open={inspectorOpen && selected !== null}
          onClose={() => setInspectorOpen(false)}
          title="Inspector"
          showTitle={false}
          place="right"
        >
          <Inspector {...shown} onClose={() => setInspectorOpen(false)} />
        </Dialog>
      )}
    </div>
  );
}

/** The row that shows an event, named by its id or, from a search, by its position. */
function resolve(feed: Feed, event: string): string {
  const seq = /^seq:(\d+)$/.exec(event)?.[1];
  const id = seq === undefined ? event : (eventAt(feed.timeline, Number(seq))?.event.id ?? event);
  return feed.timeline.rowOf.get(id) ?? id;
}

const WAITS: Partial<Record<Turn["state"], string>> = {
  waiting: "The session waits for you",
  worker: "The session waits for a worker",
  program: "The session waits for a program",
  budget: "The session's budget is reached",
};

/** Tells the end of a turn to people who do not see it. */
function useAnnouncedTurns(feed: Feed): void {
  const turn = feed.timeline.turns.at(-1);
  const state = turn?.state ?? null;
  const before = useRef<string | null>(null);
  useEffect(() => {
    if (feed.caughtUp && before.current === "open" && state !== null && state !== "open") {
      announce(state === "done" ? "The turn is over" : (WAITS[state] ?? `The turn ended: ${state}`));
    }
    before.current = feed.caughtUp ? state : null;
  }, [feed, feed.caughtUp, state]);
}

function Gone({ deleted }: { deleted: boolean }) {
  return (
    <main className="flex flex-1 flex-col items-start gap-3 p-8">
      <h1 className="text-title font-semibold">{deleted ? "This session was deleted" : "There is no such session"}</h1>
      <p className="text-ink-2">
        {deleted
          ? "Its events and its sandbox are gone. Your own folders were not touched."
          : "The link may be from another data directory, or the session was deleted."}
      </p>
      <Button onClick={() => go({ screen: "home" })}>Back to the desk</Button>
    </main>
  );
}
