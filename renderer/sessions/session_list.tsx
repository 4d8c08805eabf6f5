import { ChevronRight, Plug, Plus, Search } from "lucide-react";
import { useEffect, useMemo, useRef, useState } from "react";
import { MOD } from "../bridge.ts";
import { useEngine } from "../store/engine.ts";
import { groupSessions, needsResume } from "../store/groups.ts";
import { setFilter, toggleGroup, usePrefs } from "../store/kept/prefs.ts";
import { openOverlay } from "../store/overlays.ts";
import { CONNECTIONS, go, useRoute } from "../store/route.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { useNow } from "../ui/media.ts";
import { Scroll } from "../ui/scroll.tsx";
import { SearchHits } from "./search_hits.tsx";
import { SessionItem } from "./session_item.tsx";

/** Rows drawn per group at first: a list of thousands is for searching, not for scrolling. */
const STEP = 60;

export function SessionList() {
  const sessions = useEngine((state) => state.sessions);
  const listed = useEngine((state) => state.listed);
  const filter = usePrefs((state) => state.filter);
  const folded = usePrefs((state) => state.foldedGroups);
  const groups = useMemo(() => groupSessions(sessions.values(), filter), [sessions, filter]);
  const live = useEngine((state) => state.connection === "open");
  const connections = useRoute(({ route }) => route.screen === "connections");
  const resumable = [...sessions.values()].filter(needsResume).length;
  const empty = groups.every((group) => group.sessions.length === 0);
  return (
    <nav aria-label="Sessions" className="flex min-h-0 flex-1 flex-col" data-testid="session-list">
      <div className="flex h-12 shrink-0 items-center gap-1 pr-2 pl-4">
        <button
          type="button"
          className="flex flex-1 items-center gap-2 text-left text-lead font-semibold"
          onClick={() => go({ screen: "home" })}
        >
          <Mark /> Longhaul
        </button>
        <IconButton label="New session" hint="N" onClick={() => go({ screen: "new" })} data-testid="new-session">
          <Plus size={16} aria-hidden />
        </IconButton>
      </div>
      <FilterField />
      <Scroll label="Session list" className="min-h-0 flex-1 px-2 pb-2 outline-offset-[-2px]">
        {groups.map((group) =>
          group.sessions.length === 0 ? null : (
            <section key={group.id} data-testid={`group-${group.id}`}>
              <div className="mt-2 flex h-6 items-center gap-1 pr-1">
                <h2 className="min-w-0 flex-1">
                  <button
                    type="button"
                    aria-expanded={!folded.has(group.id)}
                    onClick={() => toggleGroup(group.id)}
                    className="flex w-full items-center gap-1 rounded-sm px-1 text-meta font-medium tracking-wide text-ink-2 uppercase hover:text-ink"
                  >
                    <ChevronRight size={10} aria-hidden className={folded.has(group.id) ? "" : "rotate-90"} />
                    <span className={`flex-1 text-left ${group.id === "needs_you" ? "text-accent-text" : ""}`}>
                      {group.label}
                      {group.id === "running" && !live && " when last seen"}
                    </span>
                    <span className="num text-ink-3">{group.sessions.length}</span>
                  </button>
                </h2>
                {group.id === "needs_you" && resumable > 0 && (
                  <button
                    type="button"
                    data-testid="open-resume"
                    onClick={() => openOverlay("resume")}
                    className="rounded-sm px-1.5 text-meta text-accent-text underline-offset-2 hover:underline"
                  >
                    Resume…
                  </button>
                )}
              </div>
              {!folded.has(group.id) && <Group sessions={group.sessions} group={group.id} />}
            </section>
          ),
        )}
        {empty && listed && <EmptyList filtered={filter !== ""} />}
        {filter.length > 1 && <SearchHits text={filter} />}
      </Scroll>
      <div className="flex shrink-0 items-center gap-1 border-t border-line p-2">
        <Button
          look="ghost"
          icon={<Search size={14} aria-hidden />}
          hint={`${MOD} K`}
          onClick={() => openOverlay("palette")}
          className="flex-1 justify-start"
        >
          <span className="flex-1 text-left">Search and commands</span>
        </Button>
        <IconButton
          label="Connections"
          hint="G C"
          aria-current={connections ? "page" : undefined}
          onClick={() => go(CONNECTIONS)}
          data-testid="open-connections"
        >
          <Plug size={16} aria-hidden />
        </IconButton>
        <IconButton label="Keys" hint="?" onClick={() => openOverlay("help")}>
          <span className="text-small">?</span>
        </IconButton>
      </div>
    </nav>
  );
}

/** A line that is cut and goes on. */
function Mark() {
  return (
    <svg viewBox="0 0 20 16" width="20" height="16" aria-hidden className="shrink-0">
      <path d="M1 8h6M15 8h4" strokeWidth="2.5" strokeLinecap="round" className="stroke-ink-2" />
      <path d="M11 4.2 14.8 8 11 11.8 7.2 8Z" className="fill-accent" />
    </svg>
  );
}

type Grouped = ReturnType<typeof groupSessions>[number];

function Group({ sessions, group }: { sessions: Grouped["sessions"]; group: Grouped["id"] }) {
  const [limit, setLimit] = useState(STEP);
  const current = useRoute(({ route }) => (route.screen === "session" ? route.id : null));
  const live = useEngine((state) => state.connection === "open");
  const now = useNow(true, 30_000);
  return (
    <>
      <ul>
        {sessions.slice(0, limit).map((summary) => (
          <li key={summary.id}>
            <SessionItem summary={summary} group={group} live={live} current={summary.id === current} now={now} />
          </li>
        ))}
      </ul>
      {sessions.length > limit && (
        <Button look="ghost" onClick={() => setLimit(limit + 500)} className="w-full">
          {sessions.length - limit} more
        </Button>
      )}
    </>
  );
}

function FilterField() {
  const filter = usePrefs((state) => state.filter);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (): void => field.current?.select();
    addEventListener("longhaul:filter", focus);
    return () => removeEventListener("longhaul:filter", focus);
  }, []);
  return (
    <div className="px-3">
      <input
        ref={field}
        type="search"
        value={filter}
        onChange={(event) => setFilter(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          setFilter("");
          field.current?.blur();
        }}
        placeholder="Filter  /"
        aria-label="Filter sessions"
        data-testid="filter"
        className="h-7 w-full rounded border border-line bg-ground px-2 text-small [&::-webkit-search-cancel-button]:hidden"
      />
    </div>
  );
}

function EmptyList({ filtered }: { filtered: boolean }) {
  return (
    <p className="px-2 py-6 text-small text-ink-2">
      {filtered
        ? "No session matches. Esc clears the filter."
        : "No session yet. Start one, and it is listed here by what it needs."}
    </p>
  );
}
