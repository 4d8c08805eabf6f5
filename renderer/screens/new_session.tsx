import { useEffect, useRef, useState } from "react";
import { DEMO_MODEL } from "../../main/contract/demo.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { createSession, listAgents, listEnvironments, type NewSession as Params } from "../api/sdk.ts";
import { MOD } from "../bridge.ts";
import { useEngine } from "../store/engine.ts";
import { setDraft, useDraft } from "../store/kept/drafts.ts";
import { isBoolean, isString, load, save } from "../store/kept/saved.ts";
import { go } from "../store/route.ts";
import { firstLine } from "../timeline/content.ts";
import { Button } from "../ui/button.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { defaultAgent, defaultEnvironment, isDefaultEnvironment } from "./defaults.ts";
import { Choice, Field, fieldOf, INPUT, type Option } from "./form.tsx";
import { FolderField, PermissionField } from "./session_fields.tsx";

const DEFAULT = "default";
const MODELS = ["claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-5-5", "claude-fable-5-2", DEMO_MODEL];
const MAX_TITLE = 80;

interface Lists {
  agents: Option[];
  environments: Option[];
}

function useLists(): { lists: Lists; problem: Problem | null } {
  const [lists, setLists] = useState<Lists>({ agents: [], environments: [] });
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    Promise.all([listAgents(), listEnvironments()]).then(
      ([agents, environments]) =>
        setLists({
          agents: agents
            .filter((agent) => agent.metadata.longhaul_default === undefined)
            .map((agent) => ({ value: agent.id, label: agent.name, note: agent.model.id })),
          environments: environments
            .filter((environment) => !isDefaultEnvironment(environment))
            .map((environment) => ({ value: environment.id, label: environment.name, note: environment.config.type })),
        }),
      (error: unknown) => setProblem(problemOf(error)),
    );
  }, []);
  return { lists, problem };
}

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
  const { lists, problem: listProblem } = useLists();
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => area.current?.focus(), []);

  const chosenModel = model.trim() || (demo ? DEMO_MODEL : (MODELS[0] ?? ""));
  const ownAgent = lists.agents.some((option) => option.value === agent) ? agent : DEFAULT;
  const ownEnvironment = lists.environments.some((option) => option.value === environment) ? environment : DEFAULT;

  const start = async (): Promise<void> => {
    if (task.trim() === "" || busy || !live) return;
    setBusy(true);
    setProblem(null);
    try {
      const session = await createSession({
        agent: ownAgent === DEFAULT ? await defaultAgent(chosenModel, permission === "ask" ? "ask" : "run") : ownAgent,
        environment_id: ownEnvironment === DEFAULT ? await defaultEnvironment() : ownEnvironment,
        title: titleFor(task),
        initial_events: [{ type: "user.message", content: [{ type: "text", text: task.trim() }] }],
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
              note={demo ? "No model endpoint is set up: the offline demo answers." : undefined}
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
          <Field label="Environment" problem={field === "environment" ? problem : null}>
            {(control) => (
              <Choice
                control={control}
                value={ownEnvironment}
                onChange={setEnvironment}
                options={[{ value: DEFAULT, label: "Default", note: "package registries only" }, ...lists.environments]}
                testId="environment"
              />
            )}
          </Field>
        </div>
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
