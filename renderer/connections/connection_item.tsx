import { CircleAlert, CircleCheck } from "lucide-react";
import { type RefObject, useEffect, useRef } from "react";
import type { Connection, ConnectionState } from "../../main/contract/vaults/connections.ts";
import { ago, exactTime, millis } from "../format/times.ts";
import { check, connectAgain, useConnections } from "../store/connections.ts";
import { go } from "../store/route.ts";
import { Button } from "../ui/button.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { factsOf, nameOf, STATE_WORDS, targetOf } from "./words.ts";

interface ConnectionItemProps {
  connection: Connection;
  /** A sign-in for it waits for the person. */
  waiting: boolean;
  live: boolean;
  now: number;
  /** Somebody was sent here for this one. */
  asked: boolean;
  onReplace: () => void;
  onClient: () => void;
  onRemove: () => void;
}

/** One connection: what it is for, how it stands, who used it last, and what can be done. */
export function ConnectionItem(props: ConnectionItemProps) {
  const { connection, live, now, asked, onRemove } = props;
  const { id, state, problem, last_use, checked, auth } = connection;
  const busy = useConnections((all) => all.busy);
  const trouble = useConnections((all) => all.troubles.get(id));
  const first = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!asked) return;
    first.current?.scrollIntoView({ block: "center" });
    first.current?.focus();
  }, [asked]);
  const name = nameOf(connection);
  const target = targetOf(connection);
  const checking = busy.has(`check ${id}`);
  return (
    <li
      data-testid="connection-item"
      data-connection={id}
      data-state={state}
      className={`flex gap-3 py-3 ${asked ? "-mx-3 rounded bg-selected px-3" : ""}`}
    >
      <StateIcon state={state} />
      <div className="min-w-0 flex-1 space-y-0.5">
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <h3 className="flex min-w-0 flex-1 basis-60 items-baseline gap-2">
            <span className="min-w-0 truncate font-medium">{name}</span>
            <span className={`shrink-0 text-small ${STATE_TEXT[state]}`}>{STATE_WORDS[state]}</span>
          </h3>
          <div className="flex shrink-0 items-center gap-1">
            <Renew {...props} button={first} name={name} />
            {auth.type === "mcp_oauth" && (
              <Button
                look="ghost"
                disabled={!live || checking}
                onClick={() => void check(connection)}
                aria-label={`Check ${name}`}
                data-testid="check"
              >
                {checking ? "Checking…" : "Check"}
              </Button>
            )}
            <Button look="ghost" disabled={!live} onClick={onRemove} aria-label={`Remove ${name}`} data-testid="remove">
              Remove
            </Button>
          </div>
        </div>
        {target !== name && <p className="truncate font-mono text-small text-ink-2">{target}</p>}
        <p className="text-small text-ink-2">{factsOf(connection).join(" · ")}</p>
        {problem !== null && <p className={STATE_TEXT[state]}>{problem}</p>}
        <p className="text-small text-ink-3">
          {last_use === null ? (
            "Not used yet"
          ) : (
            <>
              {last_use.decision === "allowed" ? "Last used" : "Last refused"}{" "}
              <time dateTime={last_use.at} title={exactTime(millis(last_use.at))}>
                {sinceWords(millis(last_use.at), now)}
              </time>{" "}
              by{" "}
              {last_use.session_title === null ? (
                "a session that was deleted"
              ) : (
                <button
                  type="button"
                  className="rounded-sm text-ink-2 underline underline-offset-2 hover:text-ink"
                  onClick={() => go({ screen: "session", id: last_use.session_id, event: null })}
                  data-testid="last-session"
                >
                  {last_use.session_title}
                </button>
              )}
              {last_use.decision === "refused" && last_use.reason !== problem && `: ${last_use.reason}`}
            </>
          )}
          {checked !== null && checked.summary !== problem && (
            <span data-testid="checked">
              {" · checked "}
              <time dateTime={checked.at} title={exactTime(millis(checked.at))}>
                {sinceWords(millis(checked.at), now)}
              </time>
              : {checked.summary}
            </span>
          )}
        </p>
        {trouble !== undefined && (
          <div className="pt-1">
            <ProblemNote problem={trouble} />
          </div>
        )}
      </div>
    </li>
  );
}

const STATE_TEXT: Record<ConnectionState, string> = {
  connected: "text-ink-3",
  sign_in_needed: "text-accent-text",
  refused: "text-bad",
};

/** The state as a shape, so that it is told without colour too. */
function StateIcon({ state }: { state: ConnectionState }) {
  if (state === "connected") return <CircleCheck size={16} aria-hidden className="mt-1.5 shrink-0 text-tools" />;
  if (state === "refused") return <CircleAlert size={16} aria-hidden className="mt-1.5 shrink-0 text-bad" />;
  return <span aria-hidden className="mx-1 mt-2.5 size-2 shrink-0 rotate-45 bg-accent" />;
}

interface RenewProps extends ConnectionItemProps {
  button: RefObject<HTMLButtonElement | null>;
  name: string;
}

/** What gives it a new value: a sign-in, or a value that is pasted. */
function Renew({ connection, waiting, live, onReplace, onClient, button, name }: RenewProps) {
  const { id, auth, state, client } = connection;
  const busy = useConnections((all) => all.busy.has(`sign in ${id}`));
  const look = state === "connected" ? "ghost" : state === "sign_in_needed" ? "primary" : "plain";
  if (auth.type !== "mcp_oauth") {
    return (
      <Button
        ref={button}
        look={look}
        disabled={!live}
        onClick={onReplace}
        aria-label={`Replace the value of ${name}`}
        data-testid="replace"
      >
        Replace
      </Button>
    );
  }
  return (
    <Button
      ref={button}
      look={look}
      disabled={!live || busy || waiting}
      onClick={() => (client?.has_secret === true ? onClient() : void connectAgain(id, null))}
      aria-label={`Sign in to ${name} again`}
      data-testid="sign-in-again"
    >
      {waiting ? "Waiting for you" : busy ? "Asking the server…" : "Sign in again"}
    </Button>
  );
}

function sinceWords(at: number, now: number): string {
  const words = ago(at, now);
  return words === "now" ? "just now" : /^\d+ [a-z]$/.test(words) ? `${words} ago` : words;
}
