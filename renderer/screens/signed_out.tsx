import { useState } from "react";
import type { Problem } from "../api/problem.ts";
import { Button } from "../ui/button.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";

interface SignedOutProps {
  problem: Problem | null;
  onCode: (code: string) => void;
}

/** Reads a code from what a person pastes: the whole link, or the code alone. */
function codeOf(text: string): string {
  return /#code=([^&\s]+)/.exec(text)?.[1] ?? text.trim();
}

/** Shown when the engine does not know this page: how to get in again. */
export function SignedOut({ problem, onCode }: SignedOutProps) {
  const [text, setText] = useState("");
  return (
    <main className="flex h-full items-center justify-center p-6" data-testid="signed-out">
      <div className="w-full max-w-md space-y-4">
        <h1 className="text-title font-semibold">This page is not signed in</h1>
        <p className="text-ink-2">
          Longhaul runs on your machine and answers only to pages that you opened yourself. Your sessions are safe and
          go on.
        </p>
        <ol className="list-decimal space-y-1 pl-5 text-ink-2">
          <li>
            Run <code className="rounded-sm bg-hover px-1 font-mono text-small">npm start</code> again, or open the
            window from the app’s menu.
          </li>
          <li>Use the new link it prints; each link works once.</li>
        </ol>
        <form
          className="flex gap-2"
          onSubmit={(event) => {
            event.preventDefault();
            onCode(codeOf(text));
          }}
        >
          <input
            value={text}
            onChange={(event) => setText(event.target.value)}
            aria-label="Sign-in link or code"
            placeholder="Or paste the link here"
            className="h-8 min-w-0 flex-1 rounded border border-line-strong bg-raised px-2"
          />
          <Button type="submit" look="primary" className="h-8" disabled={text.trim() === ""}>
            Sign in
          </Button>
        </form>
        {problem !== null && <ProblemNote problem={problem} />}
      </div>
    </main>
  );
}
