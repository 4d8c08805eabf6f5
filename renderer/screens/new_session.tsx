import { useEffect, useRef, useState } from "react";
import { DEMO_MODEL } from "../../main/contract/demo.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { createEnvironment, createSession, type NewSession as Params } from "../api/sdk.ts";
import { MOD } from "../bridge.ts";
import { useEngine } from "../store/engine.ts";
import { setDraft, useDraft } from "../store/kept/drafts.ts";
import { isBoolean, isString, isStrings, load, save } from "../store/kept/saved.ts";
import { go } from "../store/route.ts";
import { firstLine } from "../timeline/content.ts";
import { Button } from "../ui/button.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { defaultAgent, defaultEnvironment } from "./defaults.ts";
import {
  type EnvironmentDraft,
  loadDraft,
  NEW_DRAFT,
  NEW_ENVIRONMENT,
  paramsOf,
  problemsOf,
  saveDraft,
} from "./environment/draft.ts";
import { DEFAULT, EnvironmentField } from "./environment/environment_field.tsx";
import { EnvironmentForm } from "./environment/environment_form.tsx";
import { Choice, Field, fieldOf, INPUT } from "./form.tsx";
import { chosenVaults, readVaults, useLists } from "./lists.ts";
import { FolderField, PermissionField } from "./session_fields.tsx";
import { VaultField } from "./vault_field.tsx";

const MODELS = ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-2", DEMO_MODEL];
const MAX_TITLE = 80;

/** A remembered answer of the form. */
function useRemembered(key: string, fallback: string): [string, (value: string) => void] {
  const [value, setValue] = useState(() => load(`new.${key}`, fallback, isString));
  return [
    value,
    (next) => {
      setValue(next);
      save(`new.${key}`, next);
    },
  ];
}

export function NewSession() {
  const demo = useEngine((state) => state.health?.model.source === "demo");
  const live = useEngine((state) => state.connection === "open");
  const [task, setTask] = useDraft("new_task");
  const [folder, setFolder] = useDraft("new_folder");
  const [uncommitted, setUncommitted] = useState(() => load("new.uncommitted", true, isBoolean));
  const [agent, setAgent] = useRemembered("agent", DEFAULT);
  const [model, setModel] = useRemembered("model", "");
  const [environment, setEnvironment] = useRemembered("environment", DEFAULT);
  const [permission, setPermission] = useRemembered("permission", "run");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem | null>(null);
  const [draft, setDraftEnvironment] = useState(loadDraft);
  const [tried, setTried] = useState(false);
  const { lists, setLists, problem: listProblem } = useLists();
  // Null until the person has chosen: then the default vault is used.
  const [vaults, setVaults] = useState(() => load<string[] | null>("new.vaults", null, isStrings));
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => area.current?.focus(), []);

  const chosenModel = model.trim() || (demo ? DEMO_MODEL : (MODELS[0] ?? ""));
  const ownAgent = lists.agents.some((option) => option.value === agent) ? agent : DEFAULT;
  const choice =
    environment === NEW_ENVIRONMENT ||
    // Until the list is there the remembered one stands: a quick start must not get another network than was chosen.
    !lists.loaded ||
    lists.environments.some((known) => known.id === environment)
      ? environment
      : DEFAULT;
  const draftProblems = choice === NEW_ENVIRONMENT ? problemsOf(draft) : {};
  const keepDraft = (next: EnvironmentDraft): void => {
    setDraftEnvironment(next);
    saveDraft(next);
  };

  /** The environment to start in. A new one is chosen from then on: a second try must not make it twice. */
  const environmentId = async (): Promise<string> => {
    if (choice === DEFAULT) return defaultEnvironment();
    if (choice !== NEW_ENVIRONMENT) return choice;
    const taken = new Set(lists.environments.map((known) => known.name));
    const made = await createEnvironment(paramsOf(draft, taken));
    setLists({ ...lists, environments: [made, ...lists.environments] });
    setEnvironment(made.id);
    setDraftEnvironment(NEW_DRAFT);
    saveDraft(null);
    return made.id;
  };

  /** A quick start must not go without the connections that it would have had a moment later. */
  const vaultIds = async (): Promise<Pick<Params, "vault_ids">> => {
    const ids = chosenVaults(lists.loaded ? lists.vaults : await readVaults(), vaults);
    return ids.length === 0 ? {} : { vault_ids: ids };
  };

  const start = async (): Promise<void> => {
    if (task.trim() === "" || busy || !live) return;
    setTried(true);
    if (Object.keys(draftProblems).length > 0) {
      // The texts are drawn first; then the keyboard is where the first of them is.
      requestAnimationFrame(() => document.querySelector<HTMLElement>("[aria-invalid=true]")?.focus());
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      const session = await createSession({
        agent: ownAgent === DEFAULT ? await defaultAgent(chosenModel, permission === "ask" ? "ask" : "run") : ownAgent,
        environment_id: await environmentId(),
        title: titleFor(task),
        initial_events: [{ type: "user.message", content: [{ type: "text", text: task.trim() }] }],
        ...(await vaultIds()),
        ...attached(folder, uncommitted),
      });
      setDraft("new_task", "");
      go({ screen: "session", id: session.id, event: null });
    } catch (error) {
      setProblem(problemOf(error, true));
    } finally {
      setBusy(false);
    }
  };
  const field = problem === null ? null : fieldOf(problem.message);
  return (
    <main className="min-w-0 flex-1 overflow-y-auto" data-testid="new-session-screen">
      <form
        className="mx-auto max-w-2xl space-y-6 px-8 py-10 max-[900px]:pl-14"
        onSubmit={(event) => {
          event.preventDefault();
          void start();
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) void start();
        }}
      >
        <h1 className="text-title font-semibold">New session</h1>
        <Field
          label="Task"
          note="What should be true when it is done? The agent reads this as you write it."
          problem={field === "task" ? problem : null}
        >
          {(control) => (
            <textarea
              {...control}
              ref={area}
              rows={6}
              value={task}
              onChange={(event) => setTask(event.target.value)}
              data-testid="task"
              className={`${INPUT} min-h-32 resize-y py-2`}
            />
          )}
        </Field>
        <FolderField value={folder} onChange={setFolder} problem={field === "folder" ? problem : null}>
          <label className="flex items-center gap-2 text-ink-2">
            <input
              type="checkbox"
              checked={uncommitted}
              onChange={(event) => {
                setUncommitted(event.target.checked);
                save("new.uncommitted", event.target.checked);
              }}
            />
            Include work that is not committed
          </label>
        </FolderField>
        <div className="grid grid-cols-2 gap-4 max-[700px]:grid-cols-1">
          <Field label="Agent" problem={field === "agent" ? problem : null}>
            {(control) => (
              <Choice
                control={control}
                value={ownAgent}
                onChange={setAgent}
                options={[{ value: DEFAULT, label: "Default coding agent", note: "" }, ...lists.agents]}
                testId="agent"
              />
            )}
          </Field>
          {ownAgent === DEFAULT && (
            <Field
              label="Model"
              note={
                demo
                  ? "No model endpoint is set up: the offline demo answers. Settings (G E) is where one is entered."
                  : undefined
              }
              problem={field === "model" ? problem : null}
            >
              {(control) => (
                <>
                  <input
                    {...control}
                    value={model}
                    onChange={(event) => setModel(event.target.value)}
                    list="models"
                    placeholder={chosenModel}
                    data-testid="model"
                    className={INPUT}
                  />
                  <datalist id="models">
                    {MODELS.map((name) => (
                      <option key={name} value={name} />
                    ))}
                  </datalist>
                </>
              )}
            </Field>
          )}
          <EnvironmentField
            value={choice}
            environments={lists.environments}
            onChange={setEnvironment}
            problem={field === "environment" && choice !== NEW_ENVIRONMENT ? problem : null}
          />
        </div>
        {choice === NEW_ENVIRONMENT && (
          <EnvironmentForm
            draft={draft}
            onChange={keepDraft}
            problems={tried ? draftProblems : {}}
            problem={field === "environment" ? problem : null}
          />
        )}
        <VaultField
          vaults={lists.vaults}
          chosen={chosenVaults(lists.vaults, vaults)}
          onChange={(next) => {
            setVaults(next);
            save("new.vaults", next);
          }}
        />
        <PermissionField
          value={permission === "ask" ? "ask" : "run"}
          fixed={ownAgent !== DEFAULT}
          onChange={setPermission}
        />
        {listProblem !== null && <ProblemNote problem={listProblem} />}
        {problem !== null && field === null && <ProblemNote problem={problem} />}
        <div className="flex items-center gap-3">
          <Button
            type="submit"
            look="primary"
            hint={`${MOD} ⏎`}
            disabled={busy || !live || task.trim() === ""}
            data-testid="start"
          >
            {busy ? "Starting…" : "Start"}
          </Button>
          <Button onClick={() => go({ screen: "home" })}>Cancel</Button>
          <span className="text-small text-ink-3">What you typed is kept.</span>
        </div>
      </form>
    </main>
  );
}

function titleFor(task: string): string {
  const line = firstLine(task);
  return line.length > MAX_TITLE ? `${line.slice(0, MAX_TITLE - 1)}…` : line;
}

function attached(folder: string, uncommitted: boolean): Pick<Params, "resources"> {
  const path = folder.trim();
  return path === "" ? {} : { resources: [{ type: "local_repository", path, include_uncommitted: uncommitted }] };
}
