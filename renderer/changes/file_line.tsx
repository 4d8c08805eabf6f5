import type { ChangedFile } from "../../main/contract/local_api.ts";
import { visible } from "../format/visible.ts";

const MARKS: Record<ChangedFile["status"], string> = { added: "A", modified: "M", deleted: "D" };

/** A changed file in one line: what happened, its path with the name kept in sight, and how much. */
export function FileLine({ file }: { file: ChangedFile }) {
  const path = visible(file.path);
  const at = path.lastIndexOf("/") + 1;
  return (
    <>
      <abbr title={file.status} className="w-3 shrink-0 text-small text-ink-3 no-underline">
        {MARKS[file.status]}
      </abbr>
      <span className="flex min-w-0 flex-1 font-mono text-small" title={path}>
        <span className="truncate text-ink-2">{path.slice(0, at)}</span>
        <span className="max-w-full shrink-0 truncate">{path.slice(at)}</span>
      </span>
      <span className="num shrink-0 text-small text-ink-2">
        {file.binary
          ? "binary"
          : `+${file.additions.toLocaleString("en-US")} −${file.deletions.toLocaleString("en-US")}`}
      </span>
    </>
  );
}
