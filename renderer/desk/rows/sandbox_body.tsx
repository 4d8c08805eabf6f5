/** How a sandbox came to be: its steps on one scale of time, what goes on now, and what the agent was told. */
import { duration } from "../../format/numbers.ts";
import type { SandboxRow, SandboxStep } from "../../timeline/row.ts";

interface SandboxBodyProps {
  row: SandboxRow;
  /** What the step under way said last; null when it said nothing or nothing is under way. */
  progress: string | null;
}

export function SandboxBody({ row, progress }: SandboxBodyProps) {
  // The reason of the whole repeats that of the step that failed.
  const failure = row.steps.at(-1)?.error ?? null;
  const doing = row.state === "provisioning" && progress !== null;
  return (
    <div className="space-y-2" data-testid="sandbox-body">
      <SandboxSteps row={row} doing={doing ? progress : null} />
      {row.reason !== null && (failure === null || !row.reason.includes(failure)) && (
        <p className="[overflow-wrap:anywhere] whitespace-pre-wrap">{row.reason}</p>
      )}
      {row.notice !== null && (
        <div className="border-l-2 border-bad/70 pl-3" data-testid="sandbox-notice">
          <p className="text-small text-ink-2">Told to the agent with its next result</p>
          <p className="[overflow-wrap:anywhere] whitespace-pre-wrap">{row.notice}</p>
        </div>
      )}
    </div>
  );
}

function SandboxSteps({ row, doing }: { row: SandboxRow; doing: string | null }) {
  const { steps } = row;
  if (steps.length === 0 && doing === null) {
    return row.reason === null ? <p className="text-ink-3">No steps were recorded.</p> : null;
  }
  const total = Math.max(
    1,
    steps.reduce((sum, step) => sum + step.durationMs, 0),
    row.end === null ? 0 : row.end - row.at,
  );
  let at = 0;
  return (
    <ol className="space-y-0.5" data-testid="sandbox-steps">
      {steps.map((step, index) => {
        const from = at;
        at += step.durationMs;
        return <Step key={String(index)} step={step} from={from / total} share={step.durationMs / total} />;
      })}
      {doing !== null && (
        <li className="flex min-w-0 items-center gap-3" data-testid="sandbox-progress">
          <span className="w-16 shrink-0 text-right text-ink-3">now</span>
          <span
            className="h-2 w-16 shrink-0 rounded-sm border border-dashed border-sandbox/70 @min-[760px]:w-28"
            aria-hidden
          />
          <span className="line-clamp-2 min-w-0 font-mono text-small [overflow-wrap:anywhere]">{doing}</span>
        </li>
      )}
    </ol>
  );
}

function Step({ step, from, share }: { step: SandboxStep; from: number; share: number }) {
  const failed = step.error !== null;
  return (
    <li className="flex min-w-0 items-start gap-3">
      <span className="num w-16 shrink-0 text-right text-ink-2">{duration(step.durationMs)}</span>
      <span className="relative mt-1.5 h-2 w-16 shrink-0 rounded-sm bg-hover @min-[760px]:w-28" aria-hidden>
        <span
          className={`absolute inset-y-0 rounded-sm ${failed ? "bg-bad" : "bg-sandbox/80"}`}
          style={{ left: `${Math.min(97, from * 100)}%`, width: `max(2px, ${Math.min(1, share) * 100}%)` }}
        />
      </span>
      <span className="min-w-0 [overflow-wrap:anywhere]">
        <span className={failed ? "text-bad" : ""}>
          {step.step.charAt(0).toUpperCase() + step.step.slice(1)}
          {failed && " failed"}
        </span>
        {failed && <span className="block whitespace-pre-wrap">{step.error}</span>}
      </span>
    </li>
  );
}
