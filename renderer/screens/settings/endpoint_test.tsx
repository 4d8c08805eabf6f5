import { LoaderCircle, PlugZap } from "lucide-react";
import { useEffect, useRef, useState } from "react";
import type { ModelTest } from "../../../main/contract/vaults/settings.ts";
import { type Problem, problemOf } from "../../api/problem.ts";
import { testModelEndpoint } from "../../api/settings.ts";
import { duration } from "../../format/numbers.ts";
import { Button } from "../../ui/button.tsx";
import { useNow } from "../../ui/media.ts";
import { ProblemNote } from "../../ui/problem_note.tsx";

interface EndpointTestProps {
  /** There is nothing to ask. */
  demo: boolean;
  onDone: () => void;
}

type State =
  | { at: "rest" }
  | { at: "asking"; since: number }
  | { at: "done"; test: ModelTest }
  | { at: "failed"; problem: Problem };

/** Asks the endpoint in use one small question, and says what it answered. */
export function EndpointTest({ demo, onDone }: EndpointTestProps) {
  const [state, setState] = useState<State>({ at: "rest" });
  const asked = useRef<AbortController | null>(null);
  useEffect(() => () => asked.current?.abort(), []);
  const ask = async (): Promise<void> => {
    const mine = new AbortController();
    asked.current = mine;
    setState({ at: "asking", since: Date.now() });
    try {
      setState({ at: "done", test: await testModelEndpoint(mine.signal) });
    } catch (error) {
      if (mine.signal.aborted) return;
      setState({ at: "failed", problem: problemOf(error) });
    }
    onDone();
  };
  if (demo) return null;
  return (
    <div className="space-y-2">
      {state.at === "asking" ? (
        <div className="flex items-center gap-3">
          <Button
            onClick={() => {
              asked.current?.abort();
              setState({ at: "rest" });
            }}
          >
            Stop
          </Button>
          <Progress since={state.since} />
        </div>
      ) : (
        <Button icon={<PlugZap size={14} aria-hidden />} onClick={() => void ask()} data-testid="test-endpoint">
          Test the endpoint
        </Button>
      )}
      <div role="status" data-testid="test-result" data-outcome={state.at === "done" ? state.test.outcome : state.at}>
        {state.at === "done" && <Verdict test={state.test} />}
      </div>
      {state.at === "failed" && <ProblemNote problem={state.problem} />}
    </div>
  );
}

function Progress({ since }: { since: number }) {
  const now = useNow(true, 500);
  return (
    <p className="flex items-center gap-2 text-ink-2">
      <LoaderCircle size={14} aria-hidden className="motion-safe:animate-spin" />
      Asking the endpoint for its models… {duration(Math.max(0, now - since))}
    </p>
  );
}

function Verdict({ test }: { test: ModelTest }) {
  const good = test.outcome === "accepted";
  return (
    <div>
      <p className={good ? "" : "text-bad"}>
        {test.summary}
        {test.duration_ms !== null && <span className="text-ink-3"> {duration(test.duration_ms)}</span>}
      </p>
      {test.advice !== null && <p className="text-ink-2">{test.advice}</p>}
    </div>
  );
}
