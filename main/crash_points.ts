/**
 * Named pause points. `LONGHAUL_CRASH_AT=<point>[:n]` makes this process kill itself with SIGKILL at the n-th passing
 * of that point, so that tests can prove what happens when it dies exactly there. Without the variable a point costs
 * one comparison.
 */

export const CRASH_POINTS = {
  "append.before_commit": "events are in the transaction, nothing is durable yet",
  "append.after_commit": "events are durable, nobody has been told",
  "wake.after_lease": "the lease is taken, nothing was read yet",
  "model.before_request": "the span has started, the request is not sent",
  "model.first_token": "the first part of the response has arrived",
  "model.before_commit": "the whole response has arrived, nothing of it is in the ledger",
  "model.after_commit": "the response is in the ledger, no tool has been dispatched",
  "tool.before_dispatch": "the call is recorded as started, the sandbox has not been asked",
  "tool.after_dispatch": "the sandbox has been asked, no result has arrived",
  "tool.before_result": "the result has arrived, it is not in the ledger",
  "tool.after_result": "the result is in the ledger",
  "mcp.after_connected": "what MCP servers offer is in the ledger together with the start of the request",
  "turn.before_idle": "the turn is over, the idle status is not in the ledger",
  "turn.after_idle": "the idle status is in the ledger, the lease is still held",
  "inputs.after_consumed": "client events have been taken into the transcript",
  "compaction.before_commit": "the summary has arrived, it is not in the ledger",
  "deployment.after_claim": "a run of a deployment is claimed, there is no session yet",
  "deployment.after_session": "the session of a run is in the ledger, the run does not say so yet",
  "outcome.before_request": "the evaluation of an outcome has started, the grader has not been asked",
  "outcome.before_commit": "the grader's verdict has arrived, it is not in the ledger",
  "outcome.after_commit": "the verdict is in the ledger, nothing has followed from it",
} as const;

export type CrashPoint = keyof typeof CRASH_POINTS;

let wanted: string | undefined;
let remaining = 0;

/** Arms a crash point from `LONGHAUL_CRASH_AT`; throws when the point is unknown, so that a typo is not a passed test. */
export function armCrashPoint(value: string | undefined): void {
  if (value === undefined || value === "") return;
  const [point = "", count = "1"] = value.split(":");
  if (!(point in CRASH_POINTS) || !/^[1-9]\d*$/.test(count)) {
    throw new Error(
      `LONGHAUL_CRASH_AT=${value}: unknown point or count. \`longhaul doctor --list-crash-points\` names them.`,
    );
  }
  wanted = point;
  remaining = Number(count);
}

/** Kills this process with SIGKILL when this point is armed and due. Call it exactly where its description says. */
export function crashPoint(point: CrashPoint): void {
  if (wanted !== point) return;
  remaining -= 1;
  if (remaining > 0) return;
  process.kill(process.pid, "SIGKILL");
  // SIGKILL to oneself is asynchronous to JavaScript: without this loop the next statements could still commit.
  for (;;);
}
