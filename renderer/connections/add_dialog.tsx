import { type RefObject, useEffect, useRef, useState } from "react";
import { addValue, type ValueParams } from "../api/connections.ts";
import { Problem, problemOf } from "../api/problem.ts";
import { isDefaultVault, listVaults } from "../api/sdk.ts";
import { Radios } from "../screens/environment/radios.tsx";
import { Choice, Field, INPUT, type Option } from "../screens/form.tsx";
import { announce } from "../store/announce.ts";
import { connect, refreshConnections } from "../store/connections.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { type Draft, type DraftField, fieldOf, newDraft, problemsOf, wordsOf } from "./draft.ts";
import { SecretField, takeSecret } from "./secret_field.tsx";
import { VariableFields } from "./variable_fields.tsx";
import { hostOf } from "./words.ts";

export interface Asked {
  server: string | null;
  vault: string | null;
  kind: Draft["kind"];
}

/** Adds a connection: by signing in, with a token, or as a variable of the sandbox. */
export function AddDialog({ asked, onClose }: { asked: Asked | null; onClose: () => void }) {
  return (
    <Dialog open={asked !== null} onClose={onClose} title="Connect" testId="connect-dialog">
      {asked !== null && <AddForm asked={asked} onClose={onClose} />}
    </Dialog>
  );
}

function AddForm({ asked, onClose }: { asked: Asked; onClose: () => void }) {
  const [draft, setDraft] = useState(() => ({ ...newDraft(asked.server, asked.vault), kind: asked.kind }));
  const [found, setFound] = useState<Partial<Record<DraftField, string>>>({});
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const [sent, setSent] = useState(false);
  const vaults = useVaults();
  const secret = useRef<HTMLInputElement>(null);
  const form = useRef<HTMLFormElement>(null);
  const set = (patch: Partial<Draft>): void => setDraft({ ...draft, ...patch });

  const refusedField = problem === null ? null : fieldOf(problem);
  const problemAt = (field: DraftField): Problem | null => {
    const text = found[field];
    if (text !== undefined) return new Problem("rejected", text);
    return refusedField === field ? problem : null;
  };
  const focusFirst = (): void => {
    // The texts are drawn first; then the keyboard is where the first of them is.
    requestAnimationFrame(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
  };

  const submit = async (): Promise<void> => {
    if (busy) return;
    const problems = problemsOf(draft, secret.current?.value ?? "");
    setFound(problems);
    setProblem(null);
    if (Object.keys(problems).length > 0) return focusFirst();
    setBusy(true);
    try {
      const value = takeSecret(secret);
      setSent(value !== "");
      await send(draft, value);
      onClose();
    } catch (error) {
      setProblem(problemOf(error, true));
      focusFirst();
    } finally {
      setBusy(false);
    }
  };
  const shared = { draft, set, problemAt, secret };
  return (
    <form
      ref={form}
      className="flex min-h-0 flex-1 flex-col"
      noValidate
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <div className="min-h-0 flex-1 space-y-5 overflow-y-auto p-4">
        <Radios
          legend="What"
          name="kind"
          value={draft.kind}
          onChange={(kind) => {
            setFound({});
            setProblem(null);
            set({ kind });
          }}
          options={KINDS}
        />
        {draft.kind === "mcp_oauth" && <OAuthFields {...shared} />}
        {draft.kind === "static_bearer" && (
          <>
            <ServerField {...shared} />
            <SecretField label="Token" problem={problemAt("secret")} field={secret} testId="secret" note={SEALED} />
          </>
        )}
        {draft.kind === "environment_variable" && (
          <>
            <VariableFields {...shared} />
            <SecretField label="Value" problem={problemAt("secret")} field={secret} testId="secret" note={SEALED} />
          </>
        )}
        <div className="grid grid-cols-2 gap-4 max-[700px]:grid-cols-1">
          <Field label="Name" note="Optional. To find it again." problem={problemAt("name")}>
            {(control) => (
              <input
                {...control}
                value={draft.name}
                maxLength={255}
                onChange={(event) => set({ name: event.target.value })}
                data-testid="connection-name"
                className={INPUT}
              />
            )}
          </Field>
          <Field label="Vault" note="A session uses the vaults it was started with." problem={problemAt("vault")}>
            {(control) => (
              <Choice
                control={control}
                value={draft.vault}
                options={vaults}
                onChange={(vault) => set({ vault })}
                testId="vault"
              />
            )}
          </Field>
        </div>
        {problem !== null && refusedField === null && <ProblemNote problem={problem} />}
        {problem !== null && sent && (
          <p className="text-small text-ink-2">The value was not kept on this page: paste it again.</p>
        )}
      </div>
      <div className="flex shrink-0 items-center justify-end gap-2 border-t border-line px-4 py-3">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="primary" disabled={busy} data-testid="connect-submit">
          {submitWords(draft.kind, busy)}
        </Button>
      </div>
    </form>
  );
}

const SEALED = "Sealed by Longhaul's broker with a key in your keychain. It is never shown again.";

const KINDS: Parameters<typeof Radios<Draft["kind"]>>[0]["options"] = [
  { value: "mcp_oauth", label: "MCP server, signing in", note: "In your browser. Tokens are renewed by themselves." },
  { value: "static_bearer", label: "MCP server, with a token", note: "One that you made at the server." },
  {
    value: "environment_variable",
    label: "Variable for the sandbox",
    note: "Programs see a placeholder; the value is put in on its way out.",
  },
];

function submitWords(kind: Draft["kind"], busy: boolean): string {
  if (kind === "mcp_oauth") return busy ? "Asking the server…" : "Sign in with the browser";
  return busy ? "Sealing…" : "Seal and connect";
}

/** Rejects with a `Problem`. */
async function send(draft: Draft, secret: string): Promise<void> {
  const { kind, name, vault } = draft;
  const place = {
    ...(name.trim() === "" ? {} : { name: name.trim() }),
    ...(vault === "" ? {} : { vault_id: vault }),
  };
  const mcp_server_url = draft.url.trim();
  if (kind === "mcp_oauth") {
    const scopes = wordsOf(draft.scopes);
    const client_id = draft.clientId.trim();
    return connect({
      ...place,
      mcp_server_url,
      ...(scopes.length === 0 ? {} : { scopes }),
      ...(client_id === "" ? {} : { client: { client_id, ...(secret === "" ? {} : { client_secret: secret }) } }),
    });
  }
  const value: ValueParams =
    kind === "static_bearer"
      ? { ...place, type: kind, mcp_server_url, token: secret }
      : {
          ...place,
          type: kind,
          secret_name: draft.variable.trim(),
          secret_value: secret,
          networking:
            draft.reach === "unrestricted"
              ? { type: "unrestricted" }
              : { type: "limited", allowed_hosts: wordsOf(draft.hosts) },
          injection_location: { header: draft.header, body: draft.body },
        };
  await addValue(value);
  announce(`Connected: ${kind === "static_bearer" ? hostOf(mcp_server_url) : draft.variable.trim()}`);
  await refreshConnections();
}

export interface FieldsProps {
  draft: Draft;
  set: (patch: Partial<Draft>) => void;
  problemAt: (field: DraftField) => Problem | null;
  secret: RefObject<HTMLInputElement | null>;
}

function ServerField({ draft, set, problemAt }: FieldsProps) {
  return (
    <Field label="Address of the server" note="As the agent names it in its MCP servers." problem={problemAt("url")}>
      {(control) => (
        <input
          {...control}
          type="url"
          inputMode="url"
          value={draft.url}
          placeholder="https://mcp.example.com/mcp"
          spellCheck={false}
          data-autofocus
          onChange={(event) => set({ url: event.target.value })}
          data-testid="server-url"
          className={`${INPUT} font-mono text-small`}
        />
      )}
    </Field>
  );
}

function OAuthFields({ draft, set, problemAt, secret }: FieldsProps) {
  const needed =
    draft.scopes !== "" || draft.clientId !== "" || [problemAt("scopes"), problemAt("client")].some(Boolean);
  return (
    <>
      <ServerField {...{ draft, set, problemAt, secret }} />
      <details open={needed || undefined}>
        <summary className="-ml-1 w-fit rounded-sm px-1 text-ink-2 hover:text-ink">
          Advanced: scopes and a client of your own
        </summary>
        <div className="space-y-4 pt-3">
          <Field
            label="Scopes"
            note="Separate with spaces. Left empty, the server names what it needs."
            problem={problemAt("scopes")}
          >
            {(control) => (
              <input
                {...control}
                value={draft.scopes}
                spellCheck={false}
                onChange={(event) => set({ scopes: event.target.value })}
                data-testid="scopes"
                className={`${INPUT} font-mono text-small`}
              />
            )}
          </Field>
          <Field
            label="Client ID"
            note="Only for servers at which you registered one; others take Longhaul as it introduces itself."
            problem={problemAt("client")}
          >
            {(control) => (
              <input
                {...control}
                value={draft.clientId}
                spellCheck={false}
                onChange={(event) => set({ clientId: event.target.value })}
                data-testid="client-id"
                className={`${INPUT} font-mono text-small`}
              />
            )}
          </Field>
          <SecretField
            label="Client secret"
            note="If the client has one."
            problem={problemAt("secret")}
            field={secret}
            testId="client-secret"
          />
        </div>
      </details>
    </>
  );
}

/** The default vault first: it is made when it is first needed. */
function useVaults(): Option[] {
  const [options, setOptions] = useState<Option[]>([{ value: "", label: "Connections", note: "" }]);
  useEffect(() => {
    listVaults().then(
      (vaults) =>
        setOptions([
          { value: "", label: "Connections", note: "default" },
          ...vaults
            .filter((vault) => !isDefaultVault(vault))
            .map(({ id, display_name }) => ({ value: id, label: display_name, note: "" })),
        ]),
      (error: unknown) => console.warn("The vaults could not be read:", error),
    );
  }, []);
  return options;
}
