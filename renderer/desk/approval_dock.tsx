import { Check, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { SessionFold } from "../../main/contract/fold.ts";
import { asksPerson, type OpenCall, shownToolName } from "../../main/contract/fold_calls.ts";
import { openCalls } from "../../main/contract/threads/view.ts";
import { CallInput } from "../parts/call_input.tsx";
import { confirm, useActions } from "../store/actions.ts";
import { announce } from "../store/announce.ts";
import type { Feed } from "../store/feed.ts";
import { eventAt } from "../timeline/timeline.ts";
import { Button } from "../ui/button.tsx";
import { registerApproval } from "./approval_keys.ts";
import { networkText, sandboxText } from "./facts.tsx";

/** Keys count only after the card has been on screen this long: a key meant for something else must not approve. */
const SETTLE_MS = 500;

interface ApprovalDockProps {
  feed: Feed;
  fold: SessionFold;
  live: boolean;
}

/** Calls that wait for a yes or no. They come from the events, so a reload or another window shows the same. */
export function ApprovalDock({ feed, fold, live }: ApprovalDockProps) {
  const waiting = openCalls(fold).filter(asksPerson);
  const first = waiting[0];
  if (first === undefined) return null;
  return <ApprovalCard key={first.id} feed={feed} fold={fold} call={first} count={waiting.length} live={live} />;
}

interface ApprovalCardProps extends ApprovalDockProps {
  call: OpenCall;
  count: number;
}

function ApprovalCard({ feed, fold, call, count, live }: ApprovalCardProps) {
  const [denying, setDenying] = useState(false);
  const [reason, setReason] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const busy = useActions((state) => state.busy.has(`confirm ${call.id}`));
  const event = eventAt(feed.timeline, call.seq)?.event;
  const input = event !== undefined && "input" in event ? event.input : {};
  const name = shownToolName(call);
  const asker = fold.threads.find(({ calls }) => calls.some(({ id }) => id === call.id))?.name ?? null;
  const answer = (result: "allow" | "deny"): void => void confirm(feed.id, call.id, result, reason.trim());

  useEffect(() => {
    announce(`Needs you: ${name} asks to run`);
    const shownAt = performance.now();
    return registerApproval((key) => {
      if (performance.now() - shownAt < SETTLE_MS) return;
      if (key === "allow") void confirm(feed.id, call.id, "allow");
      else setDenying(true);
    });
  }, [feed.id, call.id, name]);

  useEffect(() => {
    if (denying) field.current?.focus();
  }, [denying]);

  return (
    <section
      aria-label="Approval"
      data-testid="approval"
      data-call={call.id}
      className="mx-3 mb-2 shrink-0 overflow-hidden rounded-lg border border-accent-line bg-accent-soft"
    >
      <div className="flex items-center gap-2 px-3 pt-2">
        <span className="size-2 rotate-45 bg-accent" aria-hidden />
        <h2 className="font-semibold">
          May <span className="font-mono text-small">{name}</span> run?
        </h2>
        {asker !== null && <span className="text-small text-ink-2">asked by {asker}</span>}
        {count > 1 && <span className="text-small text-ink-2">1 of {count}</span>}
      </div>
      <div className="max-h-[30vh] overflow-y-auto px-3 py-2">
        <CallInput name={name} input={input} maxLines={200} />
      </div>
      <p className="px-3 pb-2 text-small text-ink-2">
        {call.kind === "mcp"
          ? `Runs at the MCP server ${call.mcp_server_name ?? ""}, outside of the sandbox.`
          : `Runs ${sandboxText(fold)}. It can reach ${networkText(fold)}.`}
      </p>
      {denying ? (
        <form
          className="flex items-center gap-2 border-t border-accent-line px-3 py-2"
          onSubmit={(submit) => {
            submit.preventDefault();
            answer("deny");
          }}
        >
          <input
            ref={field}
            value={reason}
            maxLength={2000}
            onChange={(change) => setReason(change.target.value)}
            onKeyDown={(key) => {
              if (key.key !== "Escape") return;
              key.stopPropagation();
              setDenying(false);
            }}
            aria-label="Reason for the denial"
            placeholder="Why not? The agent reads this (optional)"
            data-testid="deny-reason"
            className="h-7 min-w-0 flex-1 rounded border border-line-strong bg-raised px-2"
          />
          <Button onClick={() => setDenying(false)}>Back</Button>
          <Button type="submit" look="danger" disabled={busy || !live} data-testid="deny-send">
            Deny
          </Button>
        </form>
      ) : (
        <div className="flex items-center gap-2 border-t border-accent-line px-3 py-2">
          <Button
            look="primary"
            hint="A"
            icon={<Check size={14} aria-hidden />}
            disabled={busy || !live}
            onClick={() => answer("allow")}
            data-testid="approve"
          >
            Allow once
          </Button>
          <Button
            hint="D"
            icon={<X size={14} aria-hidden />}
            disabled={busy || !live}
            onClick={() => setDenying(true)}
            data-testid="deny"
          >
            Deny…
          </Button>
          <span className="flex-1" />
          <span className="text-meta text-ink-2">It waits as long as you need</span>
        </div>
      )}
    </section>
  );
}
