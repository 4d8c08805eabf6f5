import { TriangleAlert } from "lucide-react";
import type { ReactNode } from "react";
import type { Problem } from "../api/problem.ts";

/** A failure where it happened: what happened, then what is safe and what to do. */
export function ProblemNote({ problem, children }: { problem: Problem; children?: ReactNode }) {
  return (
    <div role="alert" className="flex items-start gap-2 rounded border border-bad/40 bg-bad-soft px-3 py-2">
      <TriangleAlert size={16} className="mt-0.5 shrink-0 text-bad" aria-hidden />
      <div className="min-w-0 flex-1 break-words">
        <p>{problem.message}</p>
        {problem.advice !== "" && <p className="text-ink-2">{problem.advice}</p>}
        {children}
      </div>
    </div>
  );
}
