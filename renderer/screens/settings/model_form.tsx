import { type FormEvent, useRef, useState } from "react";
import type { ModelSettings } from "../../../main/contract/vaults/settings.ts";
import { Problem, problemOf } from "../../api/problem.ts";
import { clearModelSettings, putModelSettings } from "../../api/settings.ts";
import { Button } from "../../ui/button.tsx";
import { ProblemNote } from "../../ui/problem_note.tsx";
import { Radios } from "../environment/radios.tsx";
import { Field, INPUT } from "../form.tsx";
import { type ChangeProblem, type CredentialKind, changeOf } from "./model_change.ts";

interface ModelFormProps {
  settings: ModelSettings;
  onChange: (settings: ModelSettings) => void;
}

/** Enters an endpoint into the vault. The key is read from its field once and stands in no state of this page. */
export function ModelForm({ settings, onChange }: ModelFormProps) {
  const { vault, keychain } = settings;
  const [baseUrl, setBaseUrl] = useState(vault?.base_url ?? "");
  const [kind, setKind] = useState<CredentialKind>(vault === null ? "api_key" : (vault.credential ?? "none"));
  const [wrong, setWrong] = useState<ChangeProblem | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [busy, setBusy] = useState(false);
  const [done, setDone] = useState("");
  const secret = useRef<HTMLInputElement>(null);

  const run = async (act: () => Promise<ModelSettings>, said: string): Promise<void> => {
    setBusy(true);
    setProblem(null);
    setDone("");
    try {
      onChange(await act());
      if (secret.current !== null) secret.current.value = "";
      setDone(said);
    } catch (error) {
      setProblem(problemOf(error, true));
    } finally {
      setBusy(false);
    }
  };
  const save = (event: FormEvent): void => {
    event.preventDefault();
    if (busy) return;
    const change = changeOf(baseUrl, kind, secret.current?.value ?? "");
    const stopped = "field" in change ? change : null;
    setWrong(stopped);
    if (stopped !== null) {
      requestAnimationFrame(() => document.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
      return;
    }
    void run(
      () => putModelSettings(change as Exclude<typeof change, ChangeProblem>),
      "Saved, and in use from the next request on.",
    );
  };
  const about = (field: ChangeProblem["field"]): Problem | null =>
    wrong?.field === field ? new Problem("rejected", wrong.message) : null;
  const cannotKeep = kind !== "none" && keychain.state === "missing";
  return (
    <form onSubmit={save} className="space-y-5" aria-labelledby="enter" data-testid="model-form" autoComplete="off">
      <h2 id="enter" className="text-title font-semibold">
        {vault === null ? "Enter a model endpoint" : "Change the one in the vault"}
      </h2>
      <Field
        label="Base URL"
        note="Without /v1. Empty for Anthropic’s API; any compatible endpoint works, such as Ollama at http://127.0.0.1:11434."
        problem={about("base_url")}
      >
        {(control) => (
          <input
            {...control}
            value={baseUrl}
            placeholder="https://api.anthropic.com"
            spellCheck={false}
            inputMode="url"
            onChange={(event) => setBaseUrl(event.target.value)}
            data-testid="model-base-url"
            className={`${INPUT} font-mono text-small`}
          />
        )}
      </Field>
      <Radios
        legend="Credential"
        name="credential"
        value={kind}
        onChange={(next) => {
          setKind(next);
          setWrong(null);
        }}
        options={[
          { value: "api_key", label: "API key", note: "sent as x-api-key" },
          { value: "auth_token", label: "Bearer token", note: "sent as Authorization, as many gateways want it" },
          { value: "none", label: "None", note: "for endpoints on this machine that ask for nothing" },
        ]}
      />
      {kind !== "none" && (
        <Field
          label={kind === "api_key" ? "API key" : "Bearer token"}
          note={
            vault !== null && vault.credential !== null
              ? "One is kept. It goes to its own address only, so saving asks for it again."
              : "Sealed by the broker with a key from your keychain; this page forgets it when it is saved."
          }
          problem={about("secret")}
        >
          {(control) => (
            <input
              {...control}
              ref={secret}
              key={kind}
              type="password"
              autoComplete="off"
              spellCheck={false}
              data-testid="model-key"
              className={`${INPUT} font-mono text-small`}
            />
          )}
        </Field>
      )}
      {cannotKeep && (
        <div className="rounded border border-accent-line bg-accent-soft px-3 py-2" data-testid="no-keychain">
          <p>{keychain.summary}</p>
          <p className="text-ink-2">{keychain.advice}</p>
        </div>
      )}
      {problem !== null && <ProblemNote problem={problem} />}
      <div className="flex flex-wrap items-center gap-2">
        <Button type="submit" look="primary" disabled={busy} data-testid="save-model">
          {busy ? "Saving…" : "Save"}
        </Button>
        {vault !== null && (
          <Button
            look="danger"
            disabled={busy}
            onClick={() => void run(clearModelSettings, "Removed from the vault.")}
            data-testid="clear-model"
          >
            Remove from the vault
          </Button>
        )}
        <p role="status" className="text-ink-2" data-testid="model-saved">
          {done}
        </p>
      </div>
    </form>
  );
}
