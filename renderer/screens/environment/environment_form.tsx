/** Sets up an environment: which sandbox, what it can reach, what is installed; the rest under "Advanced". */
import { TriangleAlert } from "lucide-react";
import type { Problem } from "../../api/problem.ts";
import { Problem as FieldProblem } from "../../api/problem.ts";
import { Field, INPUT } from "../form.tsx";
import { type DraftField, type EnvironmentDraft, MANAGERS, type Manager, nameOf } from "./draft.ts";
import { Radios } from "./radios.tsx";

interface EnvironmentFormProps {
  draft: EnvironmentDraft;
  onChange: (draft: EnvironmentDraft) => void;
  /** Shown once the person tried to start. */
  problems: Partial<Record<DraftField, string>>;
  /** What the engine said about the environment as a whole. */
  problem: Problem | null;
}

export function EnvironmentForm({ draft, onChange, problems, problem }: EnvironmentFormProps) {
  const embedded = draft.sandbox === "embedded";
  const set = (patch: Partial<EnvironmentDraft>): void => onChange({ ...draft, ...patch });
  const problemOf = (field: DraftField): Problem | null => {
    const text = problems[field];
    return text === undefined ? null : new FieldProblem("rejected", text);
  };
  const advanced = (["image", "memory", "cpus", "pids", "runtime"] as const).some(
    (name) => draft[name] !== "" || problems[name] !== undefined,
  );
  return (
    <section
      aria-label="New environment"
      data-testid="environment-form"
      className="space-y-5 border-l-2 border-line pl-4"
    >
      <Radios
        legend="Sandbox"
        name="sandbox"
        value={draft.sandbox}
        onChange={(sandbox) => set({ sandbox })}
        options={[
          {
            value: "",
            label: "Automatic",
            note: "A container where a container engine answers, else the embedded sandbox.",
          },
          {
            value: "docker",
            label: "Docker container",
            note: "Full Linux. Without a container engine the session's calls fail and say so.",
          },
          {
            value: "embedded",
            label: "Embedded",
            note: "Nothing to install: shell, Python, JavaScript. No git, compilers or network.",
          },
        ]}
      />
      {embedded ? (
        <p className="text-ink-2">The embedded sandbox has no network, so there is nothing to allow.</p>
      ) : (
        <>
          <Network draft={draft} set={set} problem={problemOf("hosts")} />
          <Packages draft={draft} set={set} problem={problems.packages} />
          <details className="group/adv" open={advanced || undefined}>
            <summary className="-ml-1 w-fit rounded-sm px-1 text-ink-2 hover:text-ink">
              Advanced: image and limits
            </summary>
            <div className="grid grid-cols-2 gap-4 pt-3 max-[700px]:grid-cols-1">
              <div className="col-span-full">
                <Setting
                  name="image"
                  label="Image"
                  placeholder="Longhaul's own"
                  note="Any image with a POSIX shell, such as debian:12. Longhaul's own has git, ripgrep, Python, Node and build tools."
                  {...{ draft, set, problemOf }}
                />
              </div>
              <Setting name="memory" label="Memory" placeholder="4g" {...{ draft, set, problemOf }} />
              <Setting name="cpus" label="Processors" placeholder="2" {...{ draft, set, problemOf }} />
              <Setting name="pids" label="Processes at once" placeholder="512" {...{ draft, set, problemOf }} />
              <Setting
                name="runtime"
                label="Container runtime"
                placeholder="the engine's default"
                {...{ draft, set, problemOf }}
              />
            </div>
          </details>
        </>
      )}
      <Field label="Name" note="To find it again. It can be used for later sessions." problem={problem}>
        {(control) => (
          <input
            {...control}
            value={draft.name}
            maxLength={200}
            placeholder={nameOf({ ...draft, name: "" })}
            onChange={(event) => set({ name: event.target.value })}
            data-testid="environment-name"
            className={INPUT}
          />
        )}
      </Field>
    </section>
  );
}

type Set_ = (patch: Partial<EnvironmentDraft>) => void;

function Network({ draft, set, problem }: { draft: EnvironmentDraft; set: Set_; problem: Problem | null }) {
  const hosts = (
    <div className="space-y-3">
      <label className="flex items-baseline gap-2">
        <input
          type="checkbox"
          checked={draft.registries}
          onChange={(event) => set({ registries: event.target.checked })}
          data-testid="allow-registries"
          className="translate-y-0.5"
        />
        <span>
          Package registries <span className="text-ink-3">npm, PyPI, Debian, crates.io and the like</span>
        </span>
      </label>
      <Field label="Hosts" note="One a line, such as api.example.com or *.example.com." problem={problem}>
        {(control) => (
          <textarea
            {...control}
            rows={Math.min(8, Math.max(2, draft.hosts.split("\n").length))}
            value={draft.hosts}
            spellCheck={false}
            onChange={(event) => set({ hosts: event.target.value })}
            data-testid="hosts"
            className={`${INPUT} h-auto resize-y py-1.5 font-mono text-small`}
          />
        )}
      </Field>
    </div>
  );
  const warning = (
    <p
      className="flex items-start gap-2 rounded border border-accent-line bg-accent-soft px-3 py-2"
      data-testid="network-warning"
    >
      <TriangleAlert size={16} aria-hidden className="mt-0.5 shrink-0 text-accent-text" />
      <span>
        The agent can send anything it can read to any public host, your code included, and text from the web can try to
        talk it into that. This machine, private and metadata addresses stay out of its reach.
      </span>
    </p>
  );
  return (
    <Radios
      legend="Network"
      name="network"
      value={draft.network}
      onChange={(network) => set({ network })}
      options={[
        {
          value: "limited",
          label: "Limited",
          note: "Only what is named here. Each connection is in the timeline.",
          below: hosts,
        },
        { value: "unrestricted", label: "Unrestricted", note: "Any public host.", below: warning },
      ]}
    />
  );
}

const MANAGER_NOTES: Record<Manager, string> = {
  apt: "jq sqlite3",
  npm: "typescript",
  pip: "numpy==2.3.0",
  cargo: "just",
  gem: "rake",
  go: "golang.org/x/tools/cmd/goimports@latest",
};

function Packages({ draft, set, problem }: { draft: EnvironmentDraft; set: Set_; problem: string | undefined }) {
  const open = problem !== undefined || MANAGERS.some((manager) => draft.packages[manager] !== "");
  return (
    <details open={open || undefined}>
      <summary className="-ml-1 w-fit rounded-sm px-1 text-ink-2 hover:text-ink">Packages to install</summary>
      <div className="space-y-2 pt-3">
        {problem !== undefined && (
          <p role="alert" data-testid="field-error" className="text-bad">
            {problem}
          </p>
        )}
        <p className="text-small text-ink-3">
          Installed once and kept for every session with the same list. Separate names with spaces.
        </p>
        <div className="grid grid-cols-[auto_1fr] items-center gap-x-3 gap-y-2">
          {MANAGERS.map((manager) => (
            <label key={manager} className="contents">
              <span className="font-mono text-small text-ink-2">{manager}</span>
              <input
                value={draft.packages[manager]}
                placeholder={MANAGER_NOTES[manager]}
                spellCheck={false}
                onChange={(event) => set({ packages: { ...draft.packages, [manager]: event.target.value } })}
                data-testid={`packages-${manager}`}
                className={`${INPUT} font-mono text-small`}
              />
            </label>
          ))}
        </div>
      </div>
    </details>
  );
}

interface SettingProps {
  name: "image" | "memory" | "cpus" | "pids" | "runtime";
  label: string;
  placeholder: string;
  note?: string;
  draft: EnvironmentDraft;
  set: Set_;
  problemOf: (field: DraftField) => Problem | null;
}

function Setting({ name, label, placeholder, note, draft, set, problemOf }: SettingProps) {
  return (
    <Field label={label} note={note} problem={problemOf(name)}>
      {(control) => (
        <input
          {...control}
          value={draft[name]}
          placeholder={placeholder}
          spellCheck={false}
          onChange={(event) => set({ [name]: event.target.value })}
          data-testid={`setting-${name}`}
          className={`${INPUT} font-mono text-small`}
        />
      )}
    </Field>
  );
}
