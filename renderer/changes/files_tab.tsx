import { ChevronRight, Maximize2, RefreshCw } from "lucide-react";
import { useMemo, useState } from "react";
import type { SessionFold } from "../../main/contract/fold.ts";
import type { ChangedFile, RepositoryChanges } from "../../main/contract/local_api.ts";
import { getChanges } from "../api/local.ts";
import { folderName } from "../desk/facts.tsx";
import { plural } from "../format/numbers.ts";
import { useLoaded } from "../inspector/loaded.ts";
import { Heading, Note } from "../inspector/section.tsx";
import { Outputs } from "../outputs/outputs.tsx";
import type { Feed } from "../store/feed.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { CopyButton } from "../ui/copy.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { BringBack } from "./bring_back.tsx";
import { DiffSheet } from "./diff_sheet.tsx";
import { DiffView } from "./diff_view.tsx";
import { FileLine } from "./file_line.tsx";
import { useReading } from "./reading.ts";
import { sectionsOf } from "./sections.ts";

interface FilesTabProps {
  feed: Feed;
  fold: SessionFold;
  /** The agent works at this moment: the files are read when asked for, since reading takes the sandbox's time. */
  running: boolean;
}

/** What the agent made: its changes in the attached folders, and the files it left to download. */
export function FilesTab({ feed, fold, running }: FilesTabProps) {
  const reading = useReading(fold, running);
  return (
    <>
      {reading.behind > 0 && (
        <p
          className="flex items-center gap-2 border-b border-line px-4 py-1.5 text-small text-ink-2"
          data-testid="behind"
        >
          <span className="min-w-0 flex-1">{plural(reading.behind, "call")} ran since this was read.</span>
          <Button look="ghost" icon={<RefreshCw size={14} aria-hidden />} onClick={reading.again}>
            Read again
          </Button>
        </p>
      )}
      <Changes feed={feed} fold={fold} running={running} readingKey={reading.key} />
      <Outputs session={fold.session_id} made={fold.sandbox?.made === true} readingKey={reading.key} />
    </>
  );
}

function Changes({ feed, fold, running, readingKey }: FilesTabProps & { readingKey: string }) {
  const attached = fold.resources.some((resource) => resource.type.endsWith("_repository"));
  const mine = new Set(
    fold.resources.flatMap((resource) => (resource.type === "local_repository" ? [resource.mount_path] : [])),
  );
  const { value, problem, loading, reload } = useLoaded(attached ? readingKey : null, () =>
    getChanges(fold.session_id),
  );
  return (
    <section aria-label="Changes">
      <Heading title="Changes" busy={loading && value !== null} />
      {!attached ? (
        <Note>
          No repository is attached. Attach a folder of yours when you start a session, and what the agent changes in
          its copy is shown here, to bring back as a branch.
        </Note>
      ) : problem !== null ? (
        <div className="space-y-2 px-4 py-2">
          <ProblemNote problem={problem} />
          <Button onClick={reload}>Try again</Button>
        </div>
      ) : value === null ? (
        <Note>Comparing…</Note>
      ) : value.every((changes) => changes.files.length === 0) ? (
        <Note>
          Nothing is changed so far. The agent works on a copy: your own files stay as they are.
          {value.map(({ mount_path, path, note }) =>
            note === undefined ? null : (
              <span key={mount_path} className="block pt-2 text-small" data-testid="changes-note">
                {folderName(path)}: {note}
              </span>
            ),
          )}
        </Note>
      ) : (
        value.map((changes) => (
          <Repository
            key={changes.mount_path}
            feed={feed}
            changes={changes}
            mine={mine.has(changes.mount_path)}
            running={running}
          />
        ))
      )}
    </section>
  );
}

/** Files listed at first; a change of thousands is read in the wide view. */
const LISTED = 100;

interface RepositoryProps {
  feed: Feed;
  changes: RepositoryChanges;
  /** It is a folder of this computer, where a branch can be made. */
  mine: boolean;
  running: boolean;
}

function Repository({ feed, changes, mine, running }: RepositoryProps) {
  const sections = useMemo(() => sectionsOf(changes.patch), [changes.patch]);
  const [wide, setWide] = useState<string | null>(null);
  const { files } = changes;
  const added = files.reduce((sum, file) => sum + file.additions, 0);
  const removed = files.reduce((sum, file) => sum + file.deletions, 0);
  const first = files[0]?.path ?? "";
  return (
    <section className="border-b border-line pb-2" data-testid="changes" aria-label={folderName(changes.path)}>
      <div className="flex items-center gap-2 px-4 pb-1">
        <h4 className="min-w-0 truncate font-medium" title={changes.path}>
          {folderName(changes.path)}
        </h4>
        <span className="num min-w-0 flex-1 truncate text-small text-ink-2">
          {files.length === 0 ? (
            "not changed"
          ) : (
            <>
              {plural(files.length, "file")} +{added.toLocaleString("en-US")} −{removed.toLocaleString("en-US")}
            </>
          )}
        </span>
        {files.length > 0 && (
          <IconButton label="Wide view" onClick={() => setWide(first)} data-testid="open-diff">
            <Maximize2 size={14} aria-hidden />
          </IconButton>
        )}
        {changes.patch !== "" && <CopyButton text={changes.patch} label="Copy the patch" />}
      </div>
      {mine && files.length > 0 && (
        <BringBack
          session={feed.id}
          changes={changes}
          timeline={feed.timeline}
          running={running}
          live={feed.state === "live"}
        />
      )}
      {changes.note !== undefined && (
        <p className="px-4 pb-2 text-small text-ink-2" data-testid="changes-note">
          {changes.note}
        </p>
      )}
      {files.slice(0, LISTED).map((file) => (
        <File
          key={file.path}
          file={file}
          section={sections.get(file.path)}
          open={files.length === 1}
          onWide={() => setWide(file.path)}
        />
      ))}
      {files.length > LISTED && (
        <button
          type="button"
          onClick={() => setWide(files[LISTED]?.path ?? first)}
          className="px-4 py-1 text-small text-ink-2 underline hover:text-ink"
        >
          {plural(files.length - LISTED, "more file")}: open the wide view
        </button>
      )}
      <DiffSheet changes={changes} sections={sections} at={wide} onClose={() => setWide(null)} />
    </section>
  );
}

interface FileProps {
  file: ChangedFile;
  section: string | undefined;
  open: boolean;
  onWide: () => void;
}

function File({ file, section, open, onWide }: FileProps) {
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
        <FileLine file={file} />
      </button>
      {shown && <DiffView file={file} section={section} onWide={onWide} />}
    </div>
  );
}
