/** Settings: which model endpoint sessions talk to, where its key comes from, and where keys are kept. */
import { useEffect, useState } from "react";
import type { ModelSettings } from "../../../main/contract/vaults/settings.ts";
import { type Problem, problemOf } from "../../api/problem.ts";
import { getModelSettings } from "../../api/settings.ts";
import { refreshHealth, useEngine } from "../../store/engine.ts";
import { ProblemNote } from "../../ui/problem_note.tsx";
import { EndpointTest } from "./endpoint_test.tsx";
import { ModelForm } from "./model_form.tsx";

const CREDENTIALS = {
  api_key: "an API key",
  auth_token: "a bearer token",
  api_key_and_auth_token: "an API key and a bearer token",
};

export function SettingsScreen() {
  const [settings, setSettings] = useState<ModelSettings | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  // Counts saves: a verdict about a former endpoint says nothing about this one.
  const [version, setVersion] = useState(0);
  const connected = useEngine((state) => state.connection === "open");
  useEffect(() => {
    if (!connected) return;
    const left = new AbortController();
    getModelSettings(left.signal).then(
      (next) => {
        setSettings(next);
        setProblem(null);
      },
      (error: unknown) => {
        if (!left.signal.aborted) setProblem(problemOf(error));
      },
    );
    return () => left.abort();
  }, [connected]);
  const changed = (next: ModelSettings): void => {
    setSettings(next);
    setVersion((before) => before + 1);
    refreshHealth();
  };
  return (
    <main className="min-w-0 flex-1 overflow-y-auto" data-testid="settings-screen">
      <div className="mx-auto max-w-2xl space-y-8 px-8 py-10 max-[900px]:pl-14">
        <header className="space-y-2">
          <h1 className="text-display font-semibold tracking-tight">Settings</h1>
          <p className="max-w-prose text-ink-2">
            Keys go straight to the credential broker, a process of its own, which seals them. Neither this page nor the
            engine keeps one, and none is ever shown again.
          </p>
        </header>
        {problem !== null && <ProblemNote problem={problem} />}
        {settings === null ? (
          problem === null && <p className="text-ink-2">Asking the engine…</p>
        ) : (
          <>
            <section aria-labelledby="endpoint" className="space-y-4">
              <h2 id="endpoint" className="text-title font-semibold">
                Model endpoint
              </h2>
              <InUse settings={settings} />
              <EndpointTest key={version} demo={settings.source === "demo"} onDone={refreshHealth} />
            </section>
            <ModelForm settings={settings} onChange={changed} />
            <Keychain settings={settings} />
          </>
        )}
      </div>
    </main>
  );
}

function InUse({ settings }: { settings: ModelSettings }) {
  const { source, base_url, credential, check } = settings;
  const words = credential === null ? "without a credential" : `with ${CREDENTIALS[credential]}`;
  const from = source === "environment" ? "from the environment of this launch" : "from the vault";
  return (
    <dl className="space-y-3 border-y border-line py-3" data-testid="model-in-use" data-source={source}>
      <div>
        <dt className="text-meta text-ink-3">In use</dt>
        <dd>
          {source === "demo" ? (
            "The offline demo: no model endpoint is set up."
          ) : (
            <>
              <span className="break-all">{base_url}</span>, {words} {from}.
            </>
          )}
        </dd>
      </div>
      {source !== "demo" && check.state !== "ok" && (
        <div role="status">
          <dt className="text-meta text-ink-3">State</dt>
          <dd>
            {check.summary} <span className="text-ink-2">{check.advice}</span>
          </dd>
        </div>
      )}
      {source === "environment" && (
        <div>
          <dt className="text-meta text-ink-3">In the vault</dt>
          <dd className="text-ink-2">
            {settings.vault === null ? "Nothing. " : `${settings.vault.base_url}. `}
            The variables ANTHROPIC_BASE_URL, ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN count more: what you enter here
            is used when Longhaul starts without them.
          </dd>
        </div>
      )}
    </dl>
  );
}

function Keychain({ settings: { keychain } }: { settings: ModelSettings }) {
  return (
    <section
      aria-labelledby="keychain"
      className="space-y-2"
      data-testid="settings-keychain"
      data-state={keychain.state}
    >
      <h2 id="keychain" className="text-title font-semibold">
        Where keys are kept
      </h2>
      <p>{keychain.summary}</p>
      {keychain.advice !== null && <p className="text-ink-2">{keychain.advice}</p>}
      <p className="text-small text-ink-3">
        <code className="font-mono">longhaul vault rotate</code> seals everything with a new key.
      </p>
    </section>
  );
}
