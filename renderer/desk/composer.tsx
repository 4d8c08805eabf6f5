import { ArrowUp } from "lucide-react";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { sendMessage } from "../api/sdk.ts";
import { MOD } from "../bridge.ts";
import { announce } from "../store/announce.ts";
import { setDraft, useDraft } from "../store/kept/drafts.ts";
import { Button } from "../ui/button.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";

interface ComposerProps {
  summary: SessionSummary;
  live: boolean;
}

const MAX_HEIGHT = 220;

export function Composer({ summary, live }: ComposerProps) {
  const [text, setText] = useDraft(summary.id);
  const [sending, setSending] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const closed = summary.fold.archived_at !== null || summary.fold.phase === "terminated";
  const running = live && summary.activity === "running";

  useEffect(() => {
    const element = area.current;
    if (element === null) return;
    element.style.height = "auto";
    element.style.height = `${Math.min(MAX_HEIGHT, text === "" ? 20 : element.scrollHeight)}px`;
  }, [text]);

  if (closed) {
    return (
      <p className="shrink-0 border-t border-line px-4 py-3 text-ink-2">
        This session is {summary.fold.archived_at === null ? "over" : "archived"}: it can be read, not continued.
      </p>
    );
  }

  const send = async (): Promise<void> => {
    const message = text.trim();
    if (message === "" || sending || !live) return;
    setSending(true);
    setProblem(null);
    try {
      await sendMessage(summary.id, message);
      setDraft(summary.id, "");
      announce(running ? "Message queued" : "Message sent");
    } catch (error) {
      // The draft stays: nothing that was typed is lost.
      setProblem(problemOf(error, true));
    } finally {
      setSending(false);
      area.current?.focus();
    }
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.nativeEvent.isComposing) return;
    event.preventDefault();
    void send();
  };
  return (
    <div className="shrink-0 px-3 pb-3">
      {problem !== null && (
        <div className="pb-2">
          <ProblemNote problem={problem} />
        </div>
      )}
      <div className="flex items-end gap-2 rounded-lg border border-line-strong bg-raised py-1.5 pr-1.5 pl-3 focus-within:border-ink-3">
        <textarea
          ref={area}
          rows={1}
          value={text}
          onChange={(event) => setText(event.target.value)}
          onKeyDown={onKeyDown}
          aria-label="Message"
          placeholder={running ? "Queue a message: the agent reads it at its next step" : "Message the agent"}
          data-testid="composer"
          className="my-1 max-h-[220px] min-w-0 flex-1 resize-none bg-transparent outline-none"
        />
        <Button
          look="plain"
          icon={<ArrowUp size={14} aria-hidden />}
          disabled={sending || !live || text.trim() === ""}
          onClick={() => void send()}
          title={`Enter or ${MOD} Enter; Shift Enter for a new line`}
          data-testid="send"
        >
          {running ? "Queue" : "Send"}
        </Button>
      </div>
    </div>
  );
}
