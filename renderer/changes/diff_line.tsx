/** One line of a diff, numbered on both sides. */
import type { PatchLine } from "../format/patch.ts";

const LOOKS: Record<PatchLine["kind"], string> = {
  context: "",
  added: "bg-added-soft",
  removed: "bg-bad-soft",
  note: "text-ink-3 italic",
};
const SIGNS: Record<PatchLine["kind"], string> = { context: " ", added: "+", removed: "−", note: " " };

/** A line longer than this is cut: one line of a minified file must not stop the page. */
const MAX_LINE = 2000;

export function DiffLine({ line, wide = false }: { line: PatchLine; wide?: boolean }) {
  const number = `${wide ? "w-12" : "w-9"} shrink-0 text-right text-ink-3 select-none`;
  const cut = line.text.length - MAX_LINE;
  return (
    <div className={`flex ${LOOKS[line.kind]}`}>
      <span className={`${number} pr-1`}>{line.before}</span>
      <span className={`${number} pr-2`}>{line.after}</span>
      <span className="w-3 shrink-0 select-none">{SIGNS[line.kind]}</span>
      <span className="min-w-0 flex-1 pr-2 whitespace-pre-wrap [overflow-wrap:anywhere]">
        {cut > 0 ? line.text.slice(0, MAX_LINE) : line.text}
        {cut > 0 && <span className="text-ink-3"> … {cut.toLocaleString("en-US")} more characters</span>}
      </span>
    </div>
  );
}
