import { FolderOpen } from "lucide-react";
import type { ReactNode } from "react";
import type { Problem } from "../api/problem.ts";
import { shell } from "../bridge.ts";
import { Button } from "../ui/button.tsx";
import type { Permission } from "./defaults.ts";
import { Field, INPUT } from "./form.tsx";

interface FolderFieldProps {
  value: string;
  onChange: (value: string) => void;
  problem: Problem | null;
  children: ReactNode;
}

/** The folder of this disk that the agent gets a copy of. */
export function FolderField({ value, onChange, problem, children }: FolderFieldProps) {
  const bridge = shell();
  const pick = async (): Promise<void> => {
    const path = await bridge?.pickFolder();
    if (path) onChange(path);
  };
  return (
    <Field
      label="A folder of mine"
      note="Optional. A Git repository on this disk. The agent gets a copy; your files, index and branches are not touched, and its changes come back as a branch when you say so."
      problem={problem}
    >
      {(control) => (
        <>
          <div className="flex gap-2">
            <input
              {...control}
              value={value}
              onChange={(event) => onChange(event.target.value)}
              placeholder={bridge?.platform === "win32" ? "C:\\projects\\app" : "/home/you/projects/app"}
              spellCheck={false}
              data-testid="folder"
              className={`${INPUT} font-mono text-small`}
            />
            {bridge !== null && (
              <Button className="h-8" icon={<FolderOpen size={14} aria-hidden />} onClick={() => void pick()}>
                Choose…
              </Button>
            )}
          </div>
          {value.trim() !== "" && children}
        </>
      )}
    </Field>
  );
}

const PERMISSIONS: readonly { id: Permission; label: string; note: string }[] = [
  { id: "run", label: "Run everything", note: "In its sandbox. Best for a long task that you leave alone." },
  {
    id: "ask",
    label: "Ask before bash, edit and write",
    note: "Each such call waits for your yes, as long as that takes.",
  },
];

/** What the default agent may do without asking. */
export function PermissionField({
  value,
  fixed,
  onChange,
}: {
  value: Permission;
  fixed: boolean;
  onChange: (value: Permission) => void;
}) {
  return (
    <fieldset className="space-y-1.5" disabled={fixed}>
      <legend className="mb-1 font-medium">Permission</legend>
      {fixed ? (
        <p className="text-ink-2">As this agent is set up.</p>
      ) : (
        PERMISSIONS.map(({ id, label, note }) => (
          <label key={id} className="flex items-baseline gap-2">
            <input
              type="radio"
              name="permission"
              value={id}
              checked={value === id}
              onChange={() => onChange(id)}
              data-testid={`permission-${id}`}
              className="translate-y-0.5"
            />
            <span>
              {label} <span className="text-ink-3">{note}</span>
            </span>
          </label>
        ))
      )}
    </fieldset>
  );
}
