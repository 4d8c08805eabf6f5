import { Play } from "lucide-react";
import { useEffect, useState } from "react";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { resume, useActions } from "../store/actions.ts";
import { useEngine } from "../store/engine.ts";
import { needsResume, titleOf } from "../store/groups.ts";
import { closeOverlay } from "../store/overlays.ts";
import { go } from "../store/route.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { type CutAccount, readAccount } from "./cut_account.ts";

/** One card per session that does not go on by itself: what happened, what is known, and what Resume does. */
export function ResumeSheet({ open }: { open: boolean }) {
  const sessions = useEngine((state) => state.sessions);
  const live = useEngine((state) => state.connection === "open");
  const problem = useActions((state) => state.problem);
  const cut = [...sessions.values()].filter(needsResume);
  const resumeAll = async (): Promise<void> => {
    for (const summary of cut) await resume(summary.id);
  };
  return (
    <Dialog
      open={open}
      onClose={closeOverlay}
      title={cut.length === 0 ? "Nothing to resume" : "These wait for your Resume"}
      testId="resume-sheet"
    >
      <div className="min-h-0 flex-1 overflow-y-auto">
        {cut.length === 0 && (
          <p className="p-4 text-ink-2">Every session either runs, waits for its time, or is done.</p>
        )}
        <ul className="divide-y divide-line">
          {cut.map((summary) => (
            <li key={summary.id}>
              <Card summary={summary} live={live} alone={cut.length === 1} />
            </li>
          ))}
        </ul>
      </div>
      {problem !== null && (
        <div className="px-4 pb-2">
          <ProblemNote problem={problem} />
        </div>
      )}
      {cut.length > 0 && (
        <div className="flex shrink-0 items-center gap-3 border-t border-line px-4 py-3">
          <p className="min-w-0 flex-1 text-small text-ink-2">
            Everything up to the cut is stored. Resume goes on from there; nothing starts over.
          </p>
          <Button onClick={closeOverlay}>Not now</Button>
          {cut.length > 1 && (
            <Button
              look="primary"
              icon={<Play size={14} aria-hidden />}
              disabled={!live}
              onClick={() => void resumeAll()}
              data-testid="resume-all"
            >
              Resume all {cut.length}
            </Button>
          )}
        </div>
      )}
    </Dialog>
  );
}

function Card({ summary, live, alone }: { summary: SessionSummary; live: boolean; alone: boolean }) {
  const account = useAccount(summary);
  const busy = useActions((state) => state.busy.has(`resume ${summary.id}`));
  return (
    <article className="space-y-2 px-4 py-3" data-testid="resume-card" data-session={summary.id}>
      <div className="flex items-start gap-3">
        <div className="min-w-0 flex-1">
          <h3 className="truncate font-semibold">{titleOf(summary)}</h3>
          <p className="text-ink-2">{account?.cause ?? "Reading what happened…"}</p>
        </div>
        <Button
          onClick={() => {
            closeOverlay();
            go({ screen: "session", id: summary.id, event: account?.event ?? null });
          }}
        >
          Look
        </Button>
        <Button
          look={alone ? "primary" : "plain"}
          icon={<Play size={14} aria-hidden />}
          disabled={!live || busy}
          onClick={() => void resume(summary.id)}
          data-testid="resume-one"
        >
          Resume
        </Button>
      </div>
      {account !== null && account.known.length > 0 && (
        <ul className="space-y-1">
          {account.known.map((item) => (
            <li key={item.id} className="flex gap-2">
              <span className="w-14 shrink-0 truncate text-tools">{item.name}</span>
              <span className="min-w-0 flex-1">
                <span className="block truncate font-mono text-small">
                  {item.who !== null && <span className="mr-2 font-sans text-ink-3">{item.who}</span>}
                  {item.what}
                </span>
                <span className={`block text-small ${item.unknown ? "text-bad" : "text-ink-2"}`}>{item.state}</span>
              </span>
            </li>
          ))}
        </ul>
      )}
      {account !== null && (
        <p className="text-small text-ink-2">
          <span className="font-medium text-ink">Resume</span> {account.plan}
        </p>
      )}
    </article>
  );
}

function useAccount(summary: SessionSummary): CutAccount | null {
  const [account, setAccount] = useState<CutAccount | null>(null);
  useEffect(() => {
    const ended = new AbortController();
    readAccount(summary, ended.signal).then(
      (read) => !ended.signal.aborted && setAccount(read),
      (error: unknown) => console.warn("The account of the cut could not be read:", error),
    );
    return () => ended.abort();
  }, [summary]);
  return account;
}
