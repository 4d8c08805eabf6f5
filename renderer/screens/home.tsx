import { CircleAlert, CircleCheck, CircleDashed, Play, Plus, RefreshCw } from "lucide-react";
import { useState } from "react";
import type { HealthCheck } from "../../main/contract/local_api.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { refreshHealth, useEngine } from "../store/engine.ts";
import { groupOf, needsResume } from "../store/groups.ts";
import { openOverlay } from "../store/overlays.ts";
import { go } from "../store/route.ts";
import { Button } from "../ui/button.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { startDemo } from "./defaults.ts";

/** The first page: what Longhaul found on this machine, what works, and how to begin. */
export function Home() {
  const health = useEngine((state) => state.health);
  const sessions = useEngine((state) => state.sessions);
  const listed = useEngine((state) => state.listed);
  const first = listed && sessions.size === 0;
  const all = [...sessions.values()];
  const running = all.filter((summary) => groupOf(summary) === "running").length;
  const needy = all.filter((summary) => groupOf(summary) === "needs_you").length;
  const cut = all.filter(needsResume).length;
  return (
    <main className="min-w-0 flex-1 overflow-y-auto" data-testid="home">
      <div className="mx-auto max-w-2xl space-y-8 px-8 py-[10vh] max-[900px]:pl-14">
        <header className="space-y-2">
          <h1 className="text-display font-semibold tracking-tight">
            {first ? "Give an agent a long task" : "The desk"}
          </h1>
          <p className="max-w-prose text-lead text-ink-2">
            {first
              ? "Longhaul keeps everything that happens, event by event. Close the lid, lose power, kill it: the session goes on where it was, and nothing runs twice by accident."
              : summarise(needy, running)}
          </p>
        </header>
        <Begin cut={cut} first={first} />
        <section className="space-y-1" aria-label="Checks" data-testid={health === null ? undefined : "checks"}>
          <h2 className="text-meta font-medium tracking-wide text-ink-2 uppercase">On this machine</h2>
          {health === null ? (
            <p className="text-ink-2">Asking the engine…</p>
          ) : (
            <ul className="divide-y divide-line border-y border-line">
              <Check
                name="Model endpoint"
                check={health.model}
                extra={health.model.source === "demo" ? null : health.model.endpoint}
                testId="check-model"
                settings={health.model.source === "demo" ? "Set up" : "Settings"}
              />
              <Check name="Sandbox" check={health.sandbox} extra={null} testId="check-sandbox" settings={null} />
              <Check name="Keychain" check={health.keychain} extra={null} testId="check-keychain" settings={null} />
              {health.ledger.state !== "ok" && (
                <Check name="Session ledger" check={health.ledger} extra={null} testId="check-ledger" settings={null} />
              )}
            </ul>
          )}
        </section>
        {health !== null && (
          <p className="text-small text-ink-3">
            Longhaul {health.version} · engine {health.pid} · everything is kept in {health.data_dir}
          </p>
        )}
      </div>
    </main>
  );
}

function summarise(needy: number, running: number): string {
  const needs = needy === 0 ? "Nothing needs you" : `${needy} ${needy === 1 ? "session needs" : "sessions need"} you`;
  return `${needs}; ${running > 0 ? `${running} running` : "nothing is running"}.`;
}

function Begin({ cut, first }: { cut: number; first: boolean }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const demo = async (): Promise<void> => {
    setBusy(true);
    setProblem(null);
    try {
      const id = await startDemo();
      go({ screen: "session", id, event: null });
    } catch (error) {
      setProblem(problemOf(error, true));
    } finally {
      setBusy(false);
    }
  };
  return (
    <div className="space-y-3">
      <div className="flex flex-wrap items-center gap-2">
        {cut > 0 && (
          <Button look="primary" icon={<Play size={14} aria-hidden />} onClick={() => openOverlay("resume")}>
            {cut === 1 ? "Resume a session" : `Resume ${cut} sessions`}
          </Button>
        )}
        <Button
          look={cut > 0 ? "plain" : "primary"}
          icon={<Plus size={14} aria-hidden />}
          hint="N"
          onClick={() => go({ screen: "new" })}
        >
          New session
        </Button>
        <Button disabled={busy} onClick={() => void demo()} data-testid="try-demo">
          {busy ? "Starting…" : "Try the offline demo"}
        </Button>
      </div>
      {first && (
        <p className="text-small text-ink-3">
          The demo is a real session in a real sandbox; a script answers in place of a model. No key, no network, no
          cost, about a minute.
        </p>
      )}
      {problem !== null && <ProblemNote problem={problem} />}
    </div>
  );
}

const STATES: Record<HealthCheck["state"], { name: string; icon: typeof CircleCheck; look: string }> = {
  ok: { name: "found", icon: CircleCheck, look: "text-tools" },
  degraded: { name: "limited", icon: CircleAlert, look: "text-accent-text" },
  missing: { name: "missing", icon: CircleDashed, look: "text-accent-text" },
};

function Check({
  name,
  check,
  extra,
  testId,
  settings,
}: {
  name: string;
  check: HealthCheck;
  extra: string | null;
  testId: string;
  /** Label of the way to the settings, where they can change it. */
  settings: string | null;
}) {
  const { icon: Icon, look, name: state } = STATES[check.state];
  return (
    <li className="flex gap-3 py-3" data-testid={testId} data-state={check.state}>
      <Icon size={16} aria-label={state} role="img" className={`mt-0.5 shrink-0 ${look}`} />
      <div className="min-w-0 flex-1">
        <h3 className="font-medium">{name}</h3>
        <p>{check.summary}</p>
        {extra !== null && <p className="truncate text-small text-ink-3">{extra}</p>}
        {check.advice !== null && <p className="text-ink-2">{check.advice}</p>}
      </div>
      {settings !== null && (
        <Button
          look={settings === "Set up" ? "plain" : "ghost"}
          onClick={() => go({ screen: "settings" })}
          data-testid={`${testId}-settings`}
        >
          {settings}
        </Button>
      )}
      {check.state !== "ok" && (
        <Button
          look="ghost"
          icon={<RefreshCw size={14} aria-hidden />}
          onClick={refreshHealth}
          aria-label={`Check ${name} again`}
        >
          Check again
        </Button>
      )}
    </li>
  );
}
