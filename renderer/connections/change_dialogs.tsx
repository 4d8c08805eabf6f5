/** Dialogs of one connection: remove it, give it a new value, sign in with a client that has a secret. */
import { type RefObject, useEffect, useRef, useState } from "react";
import type { Connection, ConnectionDetails } from "../../main/contract/vaults/connections.ts";
import { getConnection } from "../api/connections.ts";
import { Problem, problemOf } from "../api/problem.ts";
import { replaceValue } from "../api/sdk.ts";
import { announce } from "../store/announce.ts";
import { connectAgain, refreshConnections, remove, useConnections } from "../store/connections.ts";
import { go } from "../store/route.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { SecretField, takeSecret } from "./secret_field.tsx";
import { nameOf, removalWords } from "./words.ts";

export type Change = { what: "remove" | "replace" | "client"; connection: Connection };

export function ChangeDialog({ change, onClose }: { change: Change | null; onClose: () => void }) {
  // What it was about is shown until it is gone.
  const shown = useRef(change);
  if (change !== null) shown.current = change;
  const title = shown.current === null ? "" : titleOf(shown.current);
  return (
    <Dialog open={change !== null} onClose={onClose} title={title} testId="change-dialog">
      {change?.what === "remove" && <Remove connection={change.connection} onClose={onClose} />}
      {change?.what === "replace" && <Replace connection={change.connection} onClose={onClose} />}
      {change?.what === "client" && <Client connection={change.connection} onClose={onClose} />}
    </Dialog>
  );
}

function titleOf({ what, connection }: Change): string {
  const name = nameOf(connection);
  if (what === "remove") return `Remove ${name}?`;
  return what === "replace" ? `New value for ${name}` : `Sign in to ${name} again`;
}

interface PartProps {
  connection: Connection;
  onClose: () => void;
}

const MAX_SHOWN = 5;

function Remove({ connection, onClose }: PartProps) {
  const [details, setDetails] = useState<ConnectionDetails | null>(null);
  const busy = useConnections((state) => state.busy.has(`remove ${connection.id}`));
  const trouble = useConnections((state) => state.troubles.get(connection.id));
  useEffect(() => {
    getConnection(connection.id).then(setDetails, (error: unknown) =>
      console.warn("The sessions of the connection could not be read:", error),
    );
  }, [connection.id]);
  const sessions = details?.sessions ?? [];
  const confirm = async (): Promise<void> => {
    if (await remove(connection)) onClose();
  };
  return (
    <>
      <div className="min-h-0 flex-1 space-y-3 overflow-y-auto p-4">
        <p>{removalWords(connection)}</p>
        <div aria-live="polite" className="space-y-1 text-ink-2" data-testid="affected">
          {details === null && <p>Looking for sessions that use it…</p>}
          {details !== null && sessions.length === 0 && <p>No open session uses its vault.</p>}
          {sessions.length > 0 && (
            <>
              <p>
                {sessions.length === 1
                  ? "One open session uses"
                  : `${sessions.length === 100 ? "100 or more" : sessions.length} open sessions use`}{" "}
                its vault:
              </p>
              <ul>
                {sessions.slice(0, MAX_SHOWN).map(({ id, title }) => (
                  <li key={id} className="truncate">
                    <button
                      type="button"
                      className="max-w-full truncate rounded-sm underline underline-offset-2 hover:text-ink"
                      onClick={() => {
                        onClose();
                        go({ screen: "session", id, event: null });
                      }}
                    >
                      {title}
                    </button>
                  </li>
                ))}
                {sessions.length > MAX_SHOWN && <li>and {sessions.length - MAX_SHOWN} more</li>}
              </ul>
            </>
          )}
        </div>
        {trouble !== undefined && <ProblemNote problem={trouble} />}
      </div>
      <div className="flex shrink-0 items-center justify-end gap-2 border-t border-line px-4 py-3">
        <Button onClick={onClose} data-autofocus>
          Keep it
        </Button>
        <Button look="danger" disabled={busy} onClick={() => void confirm()} data-testid="remove-confirm">
          {busy ? "Removing…" : "Remove"}
        </Button>
      </div>
    </>
  );
}

function Replace({ connection, onClose }: PartProps) {
  const secret = useRef<HTMLInputElement>(null);
  const { id, auth, vault } = connection;
  return (
    <SecretForm
      secret={secret}
      label={auth.type === "static_bearer" ? "New token" : "New value"}
      note="Takes the old one's place at once: running sessions use it from their next request on."
      submit="Seal and replace"
      onClose={onClose}
      onSubmit={async (value) => {
        if (auth.type === "static_bearer") await replaceValue(vault.id, id, { type: auth.type, token: value });
        else if (auth.type === "environment_variable")
          await replaceValue(vault.id, id, { type: auth.type, secret_value: value });
        announce(`${nameOf(connection)} has a new value`);
        await refreshConnections();
      }}
    />
  );
}

function Client({ connection, onClose }: PartProps) {
  const secret = useRef<HTMLInputElement>(null);
  const client_id = connection.client?.client_id ?? "";
  return (
    <SecretForm
      secret={secret}
      label="Client secret"
      note={`Of the client ${client_id}, with which you signed in before. It is not kept where it could be used for this.`}
      submit="Sign in with the browser"
      onClose={onClose}
      onSubmit={async (client_secret) => {
        const begun = await connectAgain(connection.id, { client_id, client_secret });
        const trouble = useConnections.getState().troubles.get(connection.id);
        if (!begun && trouble !== undefined) throw trouble;
      }}
    />
  );
}

interface SecretFormProps {
  secret: RefObject<HTMLInputElement | null>;
  label: string;
  note: string;
  submit: string;
  onClose: () => void;
  /** Rejects with a `Problem`. */
  onSubmit: (value: string) => Promise<void>;
}

function SecretForm({ secret, label, note, submit, onClose, onSubmit }: SecretFormProps) {
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const run = async (): Promise<void> => {
    const value = takeSecret(secret);
    if (value === "") return setProblem(new Problem("rejected", "Paste the value."));
    setBusy(true);
    setProblem(null);
    try {
      await onSubmit(value);
      onClose();
    } catch (error) {
      const { message, advice, kind, status } = problemOf(error, true);
      const again = "The value was not kept on this page: paste it again.";
      setProblem(new Problem(kind, `${message} ${advice} ${again}`.replace("  ", " "), "", status));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      className="space-y-4 p-4"
      noValidate
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy) void run();
      }}
    >
      <SecretField label={label} note={note} problem={problem} field={secret} testId="new-secret" />
      <div className="flex justify-end gap-2">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="primary" disabled={busy} data-testid="change-submit">
          {busy ? "Sending…" : submit}
        </Button>
      </div>
    </form>
  );
}
