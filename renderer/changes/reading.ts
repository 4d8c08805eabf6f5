/** When to read the sandbox's files again: at each rest, and while the agent works only when the person asks. */
import { useState } from "react";
import type { SessionFold } from "../../main/contract/fold.ts";

interface Reading {
  /** Names one reading: what was read for another key is out of date. */
  key: string;
  /** Calls that have run since, while the agent works. */
  behind: number;
  again: () => void;
}

export function useReading(fold: SessionFold, running: boolean): Reading {
  const { session_id: session, tool_calls: calls } = fold;
  const [read, setRead] = useState({ session, calls, running });
  // At rest the sandbox has time, and what it holds is what the turn has left.
  const due = read.session !== session || (!running && (read.calls !== calls || read.running));
  if (due) setRead({ session, calls, running });
  const current = due ? { session, calls, running } : read;
  return {
    key: `${session} ${current.calls} ${current.running}`,
    behind: running ? calls - current.calls : 0,
    again: () => setRead({ session, calls, running }),
  };
}
