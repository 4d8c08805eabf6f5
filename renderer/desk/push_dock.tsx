import { Check, X } from "lucide-react";
import { useEffect, useState } from "react";
import type { SessionFold } from "../../main/contract/fold.ts";
import { waitingPushes } from "../../main/contract/vaults/fold_pushes.ts";
import type { PushRequest } from "../../main/contract/vaults/pushes.ts";
import { visible } from "../format/visible.ts";
import { decidePush, useActions } from "../store/actions.ts";
import { announce } from "../store/announce.ts";
import { repositoryName, shortBranch } from "../timeline/sandbox/on_push.ts";
import { Button } from "../ui/button.tsx";

interface PushDockProps {
  session: string;
  fold: SessionFold;
  live: boolean;
}

/** A push that waits for a yes or no. It comes from the events, so a reload or another window shows the same. */
export function PushDock({ session, fold, live }: PushDockProps) {
  const [push] = waitingPushes(fold);
  if (push === undefined) return null;
  return <PushCard key={push.request_id} session={session} push={push} live={live} />;
}

function PushCard({ session, push, live }: { session: string; push: PushRequest; live: boolean }) {
  const [reason, setReason] = useState("");
  const busy = useActions((state) => state.busy.has(`push ${push.request_id}`));
  const to = repositoryName(push.repository_url);
  useEffect(() => announce(`Needs you: a push to ${to}`), [to]);
  const creates = /^0+$/.test(push.old);
  return (
    <section
      aria-label="Push"
      data-testid="push"
      className="mx-3 mb-2 shrink-0 overflow-hidden rounded-lg border border-accent-line bg-accent-soft"
    >
      <div className="flex items-center gap-2 px-3 pt-2">
        <span className="size-2 rotate-45 bg-accent" aria-hidden />
        <h2 className="min-w-0 font-semibold [overflow-wrap:anywhere]">
          May these commits be pushed to <span className="font-mono text-small">{visible(to)}</span>?
        </h2>
      </div>
      <p className="px-3 pt-1 text-small text-ink-2 [overflow-wrap:anywhere]">
        {creates ? "Makes" : "Moves"} the branch <span className="font-mono">{visible(shortBranch(push.branch))}</span>{" "}
        {creates ? "at" : `from ${push.old.slice(0, 10)} to`} {push.new.slice(0, 10)}. Nothing else can be changed by
        it.
      </p>
      <ul className="max-h-[20vh] overflow-y-auto px-3 py-2 text-small">
        {push.commits.map(({ id, subject }) => (
          <li key={id} className="truncate">
            <span className="font-mono text-ink-2">{id.slice(0, 10)}</span> {visible(subject)}
          </li>
        ))}
      </ul>
      <div className="flex items-center gap-2 border-t border-accent-line px-3 py-2">
        <Button
          look="primary"
          icon={<Check size={14} aria-hidden />}
          disabled={busy || !live}
          onClick={() => void decidePush(session, push.request_id, "allow")}
          data-testid="push-allow"
        >
          Allow this push
        </Button>
        <input
          value={reason}
          maxLength={2000}
          onChange={(change) => setReason(change.target.value)}
          aria-label="Reason for the denial"
          placeholder="Why not? The agent reads this (optional)"
          className="h-7 min-w-0 flex-1 rounded border border-line-strong bg-raised px-2"
        />
        <Button
          icon={<X size={14} aria-hidden />}
          disabled={busy || !live}
          onClick={() => void decidePush(session, push.request_id, "deny", reason.trim())}
          data-testid="push-deny"
        >
          Deny
        </Button>
      </div>
    </section>
  );
}
