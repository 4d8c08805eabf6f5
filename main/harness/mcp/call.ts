/** The events of a call of an MCP tool. */
import type { EventDraft } from "../../contract/events.ts";
import type { OpenCall } from "../../contract/fold_calls.ts";
import { crashPoint } from "../../crash_points.ts";
import { McpError, type McpResult, type McpServerRef } from "../../tools/mcp/port.ts";
import type { HarnessPorts } from "../ports.ts";
import type { ThreadView } from "../thread_view.ts";
import { serverError } from "./failures.ts";
import { type Patience, whenUnlocked } from "./locked.ts";

/** While the keychain is locked or the broker is away. */
const PATIENCE: Patience = { every: 1_000, inAll: 600_000 };

export interface McpOutcome {
  events: EventDraft[];
  /** True when nobody can know whether the call took effect; the caller settles it. */
  unknown: boolean;
  result: McpResult | null;
}

type Ports = Pick<HarnessPorts, "mcp" | "live">;

/**
 * Runs the call.
 * @param again that an earlier process had recorded it as started: it is repeated only where the server says that this is
 *   harmless, because nobody kept what became of it
 * @returns null when it was stopped
 */
export async function runMcpCall(
  ports: Ports,
  view: Pick<ThreadView, "fold" | "sessionId" | "mcp" | "callInput">,
  call: OpenCall,
  again: boolean,
  signal: AbortSignal,
): Promise<McpOutcome | null> {
  const name = call.mcp_server_name ?? "";
  const server = view.fold.agent.mcp_servers.find((candidate) => candidate.name === name);
  if (server === undefined) {
    return failed(`The MCP server ${name} is no longer among this agent's servers; the call did not run.`);
  }
  const facts = view.mcp.facts(name, call.name);
  const repeatable = facts !== null && (facts.read_only || facts.idempotent);
  if (again && !repeatable) return { events: [], unknown: true, result: null };
  crashPoint("tool.before_dispatch");
  const events: EventDraft[] = again
    ? [{ type: "longhaul.call_settled", tool_use_id: call.id, how: "run_again" as const }]
    : [];
  try {
    const result = await attempt(ports, view, server, call, repeatable, signal);
    return result === null ? null : { events, unknown: false, result };
  } catch (error) {
    if (signal.aborted) return null;
    if (!(error instanceof McpError)) throw error;
    if (error.kind !== "protocol") events.push(serverError(name, error));
    if (error.sent === "maybe" && !repeatable) return { events, unknown: true, result: null };
    const outcome = failed(`${error.message} ${ADVICE[error.kind]}`.trim());
    return { ...outcome, events };
  }
}

const ADVICE: Record<McpError["kind"], string> = {
  connection: "The call did not take effect. It can be tried again later.",
  locked: "The call did not run. It can be tried again later.",
  authentication:
    "The call did not run. The user must sign in to this server; go on without it where that is possible.",
  protocol: "",
};

/** Null when it was stopped. A call that certainly did not arrive, or that is harmless to repeat, gets a second try. */
async function attempt(
  ports: Ports,
  view: Pick<ThreadView, "sessionId" | "callInput">,
  server: McpServerRef,
  call: OpenCall,
  repeatable: boolean,
  signal: AbortSignal,
): Promise<McpResult | null> {
  const publish = (text: string): void => {
    ports.live.publish(view.sessionId, { type: "tool_output", tool_use_id: call.id, chunk: `${text}\n` });
  };
  const given = view.callInput(call.id);
  const input = typeof given === "object" && given !== null ? (given as Record<string, unknown>) : {};
  const what = { session_id: view.sessionId, server, tool: call.name, input, tool_use_id: call.id };
  const run = (): Promise<McpResult | null> =>
    whenUnlocked(
      () => ports.mcp.call(what, signal, publish),
      PATIENCE,
      signal,
      (why) => publish(`Waiting: ${why}`),
    );
  try {
    return await run();
  } catch (error) {
    if (signal.aborted) return null;
    if (!(error instanceof McpError) || error.kind !== "connection") throw error;
    if (error.sent === "maybe" && !repeatable) throw error;
    return run();
  }
}

function failed(text: string): McpOutcome {
  return { events: [], unknown: false, result: { content: [{ type: "text", text }], is_error: true } };
}
