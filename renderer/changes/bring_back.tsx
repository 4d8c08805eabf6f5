/** Brings the agent's changes into the person's own repository as a branch, and says where they are and what is newer. */
import { Check, GitBranch } from "lucide-react";
import { useState } from "react";
import type { BroughtBack, RepositoryChanges } from "../../main/contract/local_api.ts";
import { bringBack } from "../api/local.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { folderName } from "../desk/facts.tsx";
import { plural } from "../format/numbers.ts";
import { exactTime, shortTime } from "../format/times.ts";
import { announce } from "../store/announce.ts";
import type { Timeline } from "../timeline/timeline.ts";
import { Button } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { type Branch, lastBranch } from "./last_branch.ts";

interface BringBackProps {
  session: string;
  changes: RepositoryChanges;
  timeline: Timeline;
  /** The agent works at this moment. */
  running: boolean;
  live: boolean;
}

export function BringBack({ session, changes, timeline, running, live }: BringBackProps) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [answer, setAnswer] = useState<BroughtBack | null>(null);
  const { mount_path } = changes;
  const branch = lastBranch(timeline, mount_path);
  const bring = async (): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      const brought = (await bringBack(session, mount_path)).find((each) => each.mount_path === mount_path) ?? null;
      setAnswer(brought);
      announce(brought === null ? "Nothing was brought back" : `Brought back as ${brought.branch}`);
    } catch (error) {
      setProblem(problemOf(error, true));
    } finally {
      setBusy(false);
    }
  };
  const shown = branch?.name ?? answer?.branch;
  const current = branch !== null && branch.callsSince === 0;
  return (
    <div className="space-y-2 px-4 pt-1 pb-2" data-testid="bring-back">
      {shown !== undefined && (
        <Brought
          folder={folderName(changes.path)}
          name={shown}
          branch={branch}
          commits={answer?.branch === shown ? answer.commits : null}
        />
      )}
      <div className="flex items-center gap-2">
        <Button
          look={shown === undefined ? "primary" : "plain"}
          icon={<GitBranch size={14} aria-hidden />}
          disabled={busy || !live}
          onClick={() => void bring()}
          data-testid="bring-back-button"
        >
          {busy ? "Bringing back…" : shown === undefined ? "Bring back to my repository" : "Bring back again"}
        </Button>
        {current && <span className="text-small text-ink-3">The branch has everything.</span>}
      </div>
      {problem !== null && <ProblemNote problem={problem} />}
      {shown === undefined && (
        <p className="text-small text-ink-3">
          Makes a branch in {folderName(changes.path)}. Your files, index and checked-out branch stay as they are.
          {running ? " The agent is still at work: what it changes later is not in the branch." : ""}
        </p>
      )}
    </div>
  );
}

interface BroughtProps {
  folder: string;
  name: string;
  branch: Branch | null;
  commits: number | null;
}

function Brought({ folder, name, branch, commits }: BroughtProps) {
  const since = branch?.callsSince ?? 0;
  return (
    <div className="rounded border border-line bg-ground" data-testid="brought-back">
      <div className="flex items-start gap-2 px-3 py-2">
        <Check size={16} aria-hidden className="mt-0.5 shrink-0 text-tools" />
        <div className="min-w-0 flex-1">
          <p>
            Brought back
            {branch !== null && (
              <>
                {" "}
                <time dateTime={new Date(branch.at).toISOString()} title={exactTime(branch.at)}>
                  {shortTime(branch.at)}
                </time>
              </>
            )}
            {commits !== null && `, ${plural(commits, "commit")}`}
            {since > 0 && (
              <span className="text-ink-2" data-testid="newer-changes">
                {" "}
                · {plural(since, "call")} since may have changed more
              </span>
            )}
          </p>
          <p className="font-mono text-small [overflow-wrap:anywhere] text-ink-2">{name}</p>
        </div>
      </div>
      <div className="border-t border-line px-3 py-1">
        <p className="text-small text-ink-3">In {folder}, to look at it or to take it over:</p>
        {["switch", "merge"].map((verb) => (
          <Command key={verb} text={`git ${verb} ${name}`} />
        ))}
      </div>
    </div>
  );
}

function Command({ text }: { text: string }) {
  return (
    <div className="flex items-center gap-1">
      <code className="min-w-0 flex-1 font-mono text-small [overflow-wrap:anywhere]">{text}</code>
      <CopyButton text={text} label={`Copy ${text.split(" ", 2).join(" ")}`} />
    </div>
  );
}
