import { ChevronRight } from "lucide-react";
import { useMemo, useState } from "react";
import type { SessionFold } from "../../main/contract/fold.ts";
import type { ChangedFile, RepositoryChanges } from "../../main/contract/local_api.ts";
import { getChanges } from "../api/local.ts";
import { folderName } from "../desk/facts.tsx";
import { plural } from "../format/numbers.ts";
import { type PatchFile, parsePatch } from "../format/patch.ts";
import { Button } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { DiffView } from "./diff_view.tsx";
import { useLoaded } from "./loaded.ts";
import { Nothing } from "./section.tsx";

interface FilesTabProps {
  session: string;
  fold: SessionFold;
  /** Grows when the sandbox may have changed: the list is read again. */
  sandboxEvents: number;
}

/** What the agent changed in the attached folders, as a patch that applies to them. */
export function FilesTab({ session, fold, sandboxEvents }: FilesTabProps) {
  const attached = fold.resources.some((resource) => resource.type === "local_repository");
  const key = attached ? `${session} ${sandboxEvents} ${fold.phase}` : null;
  const { value, problem, reload } = useLoaded(key, () => getChanges(session));
  if (!attached) {
    return (
      <Nothing>
        No folder of yours is attached. Attach one when you start a session to see here what the agent changed in its
        copy.
      </Nothing>
    );
  }
  if (problem !== null) {
    return (
      <div className="space-y-2 p-4">
        <ProblemNote problem={problem} />
        <Button onClick={reload}>Try again</Button>
      </div>
    );
  }
  if (value === null) return <Nothing>Comparing…</Nothing>;
  if (value.every((changes) => changes.files.length === 0)) {
    return <Nothing>Nothing is changed so far. The agent works on a copy: your own files stay as they are.</Nothing>;
  }
  return (
    <>
      {value.map((changes) => (
        <Repository key={changes.mount_path} changes={changes} />
      ))}
    </>
  );
}

function Repository({ changes }: { changes: RepositoryChanges }) {
  const parsed = useMemo(() => new Map(parsePatch(changes.patch).map((file) => [file.path, file])), [changes.patch]);
  const added = changes.files.reduce((sum, file) => sum + file.additions, 0);
  const removed = changes.files.reduce((sum, file) => sum + file.deletions, 0);
  return (
    <section className="border-b border-line pb-2" data-testid="changes">
      <div className="flex items-center gap-2 px-4 pt-3 pb-1">
        <h3 className="min-w-0 flex-1 truncate font-medium" title={changes.path}>
          {folderName(changes.path)}
        </h3>
        <span className="num text-small text-ink-2">
          {plural(changes.files.length, "file")} +{added} −{removed}
        </span>
        <CopyButton text={changes.patch} label="Copy the patch" />
      </div>
      <p className="px-4 pb-1 text-small text-ink-3">
        Your folder is untouched. Copy the patch and run “git apply” in it to take the changes.
      </p>
      {changes.files.map((file) => (
        <File key={file.path} file={file} patch={parsed.get(file.path)} open={changes.files.length === 1} />
      ))}
    </section>
  );
}

const MARKS: Record<ChangedFile["status"], string> = { added: "A", modified: "M", deleted: "D" };

function File({ file, patch, open }: { file: ChangedFile; patch: PatchFile | undefined; open: boolean }) {
  const [shown, setShown] = useState(open);
  return (
    <div>
      <button
        type="button"
        aria-expanded={shown}
        data-testid="changed-file"
        onClick={() => setShown(!shown)}
        className="flex h-7 w-full items-center gap-2 px-3 text-left outline-offset-[-2px] hover:bg-hover"
      >
        <ChevronRight size={12} aria-hidden className={`shrink-0 text-ink-3 ${shown ? "rotate-90" : ""}`} />
        <abbr title={file.status} className="w-3 shrink-0 text-small text-ink-3 no-underline">
          {MARKS[file.status]}
        </abbr>
        <span className="min-w-0 flex-1 truncate font-mono text-small" title={file.path}>
          {file.path}
        </span>
        <span className="num shrink-0 text-small text-ink-2">
          {file.binary ? "binary" : `+${file.additions} −${file.deletions}`}
        </span>
      </button>
      {shown && <DiffView file={patch} />}
    </div>
  );
}
