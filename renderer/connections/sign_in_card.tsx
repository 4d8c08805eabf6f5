import { ExternalLink, TriangleAlert } from "lucide-react";
import type { SignIn } from "../../main/contract/vaults/connections.ts";
import { cancel, open, useConnections } from "../store/connections.ts";
import { Button } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { hostOf } from "./words.ts";

interface SignInCardProps {
  signIn: SignIn;
  onAgain: () => void;
}

/** A sign-in that waits for the person's browser, or one that failed: what to do stands beside it. */
export function SignInCard({ signIn, onAgain }: SignInCardProps) {
  const trouble = useConnections((state) => state.troubles.get(signIn.id));
  const busy = useConnections((state) => state.busy.has(`cancel ${signIn.id}`));
  const host = hostOf(signIn.mcp_server_url);
  return (
    <section
      aria-label={`Sign-in to ${host}`}
      data-testid="sign-in"
      data-state={signIn.state}
      className={`space-y-2 rounded-lg border px-4 py-3 ${signIn.state === "failed" ? "border-bad/40 bg-bad-soft" : "border-accent-line bg-accent-soft"}`}
    >
      <div className="flex items-start gap-3">
        {signIn.state === "failed" ? (
          <TriangleAlert size={16} className="mt-0.5 shrink-0 text-bad" aria-hidden />
        ) : (
          <span className="mt-1.5 size-2 shrink-0 rotate-45 bg-accent" aria-hidden />
        )}
        <div className="min-w-0 flex-1 break-words">
          {signIn.state === "failed" ? (
            <>
              <h3 className="font-semibold">The sign-in to {host} failed</h3>
              <p className="text-ink-2">{signIn.message}</p>
            </>
          ) : (
            <>
              <h3 className="font-semibold">Waiting for your browser: sign in to {host}</h3>
              <p className="text-ink-2">{waitingWords(signIn)}</p>
            </>
          )}
        </div>
      </div>
      <div className="flex flex-wrap items-center gap-2 pl-7">
        {signIn.state === "failed" ? (
          <Button onClick={onAgain} data-testid="sign-in-retry">
            Try again
          </Button>
        ) : (
          <>
            <Button
              icon={<ExternalLink size={14} aria-hidden />}
              disabled={signIn.authorization_url === null}
              onClick={() => void open(signIn)}
              data-testid="open-again"
            >
              Open again
            </Button>
            {signIn.authorization_url !== null && <CopyButton text={signIn.authorization_url} label="Copy the link" />}
          </>
        )}
        <Button look="ghost" disabled={busy} onClick={() => void cancel(signIn.id)} data-testid="sign-in-cancel">
          {signIn.state === "failed" ? "Dismiss" : "Cancel"}
        </Button>
      </div>
      {trouble !== undefined && <ProblemNote problem={trouble} />}
    </section>
  );
}

function waitingWords({ authorization_server, authorization_url, connection_id }: SignIn): string {
  if (authorization_url === null) return "Asking the broker how it stands…";
  const there = authorization_server === null ? "The page" : `The page of ${authorization_server}`;
  const meanwhile = connection_id === null ? "" : " Until then the connection is used as it is.";
  return `${there} has opened in your browser. This goes on by itself when you are done there.${meanwhile}`;
}
