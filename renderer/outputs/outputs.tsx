/** Files that the agent left to be taken: listed with size and time, saved one by one. */
import { Download, X } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { OutputFile } from "../../main/contract/local_api.ts";
import { listOutputs } from "../api/local.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { bytes, percent, plural } from "../format/numbers.ts";
import { exactTime, millis, shortTime } from "../format/times.ts";
import { visible } from "../format/visible.ts";
import { useLoaded } from "../inspector/loaded.ts";
import { Heading, Note } from "../inspector/section.tsx";
import { announce } from "../store/announce.ts";
import { Button, IconButton } from "../ui/button.tsx";
import { ProblemNote } from "../ui/problem_note.tsx";
import { download, saveName } from "./download.ts";

interface OutputsProps {
  session: string;
  /** The session has had a sandbox. */
  made: boolean;
  readingKey: string;
}

/** Files drawn at first, and more on demand. */
const STEP = 100;

export function Outputs({ session, made, readingKey }: OutputsProps) {
  const { value, problem, loading, reload } = useLoaded(made ? readingKey : null, () => listOutputs(session));
  const [limit, setLimit] = useState(STEP);
  const files = value?.data ?? [];
  return (
    <section aria-label="Outputs" data-testid="outputs">
      <Heading title="Outputs" busy={loading && value !== null} />
      {problem !== null && (
        <div className="space-y-2 px-4 py-2">
          <ProblemNote problem={problem} />
          <Button onClick={reload}>Try again</Button>
        </div>
      )}
      {problem === null && made && value === null && <Note>Looking…</Note>}
      {problem === null && (!made || (value !== null && files.length === 0)) && (
        <Note>
          Nothing to download yet. Files that the agent writes to{" "}
          <code className="font-mono text-small whitespace-nowrap">/mnt/session/outputs</code> appear here: ask it to
          put reports, archives or images there.
        </Note>
      )}
      {files.length > 0 && (
        <ul className="pb-3">
          {files.slice(0, limit).map((file) => (
            <Output key={file.path} session={session} file={file} />
          ))}
        </ul>
      )}
      {value?.note != null && <p className="px-4 pb-3 text-small text-ink-2">{value.note}</p>}
      {files.length > limit && (
        <button
          type="button"
          onClick={() => setLimit(limit + 10 * STEP)}
          className="px-4 pb-3 text-small text-ink-2 underline hover:text-ink"
        >
          {plural(files.length - limit, "more file")}
        </button>
      )}
    </section>
  );
}

function Output({ session, file }: { session: string; file: OutputFile }) {
  const [received, setReceived] = useState<number | null>(null);
  const [problem, setProblem] = useState<Problem | null>(null);
  const cancel = useRef<AbortController | null>(null);
  useEffect(() => () => cancel.current?.abort(), []);
  const save = (): void => {
    const controller = new AbortController();
    cancel.current = controller;
    setProblem(null);
    setReceived(0);
    download(session, file, controller.signal, setReceived)
      .then(() => announce(`Saved ${saveName(file.path)}`))
      .catch((error: unknown) => {
        if (!controller.signal.aborted) setProblem(problemOf(error));
      })
      .finally(() => setReceived(null));
  };
  const path = visible(file.path);
  const at = path.lastIndexOf("/") + 1;
  const when = millis(file.modified_at);
  return (
    <li className="px-4">
      <div className="flex min-h-8 items-center gap-2" data-testid="output">
        <span className="flex min-w-0 flex-1 font-mono text-small" title={path}>
          <span className="truncate text-ink-2">{path.slice(0, at)}</span>
          <span className="max-w-full shrink-0 truncate">{path.slice(at)}</span>
        </span>
        <time className="num shrink-0 text-small text-ink-3" dateTime={file.modified_at} title={exactTime(when)}>
          {shortTime(when)}
        </time>
        <span className="num w-16 shrink-0 text-right text-small text-ink-2">
          {received === null ? bytes(file.size) : (percent(received, file.size) ?? bytes(received))}
        </span>
        {received === null ? (
          <IconButton label={`Download ${saveName(file.path)}`} onClick={save} data-testid="download">
            <Download size={14} aria-hidden />
          </IconButton>
        ) : (
          <IconButton label="Cancel the download" onClick={() => cancel.current?.abort()}>
            <X size={14} aria-hidden />
          </IconButton>
        )}
      </div>
      {problem !== null && <ProblemNote problem={problem} />}
    </li>
  );
}
