/** Looks at an agent's MCP servers: at the beginning of each turn, and when one has said that its tools changed. */
import type { EventDraft, McpToolFacts } from "../../contract/events.ts";
import type { ThreadFold } from "../../contract/threads/view.ts";
import { closedMcpServer } from "../../contract/vaults/mcp_reach.ts";
import { type ListedTool, McpError, type McpListing, type McpServerRef, type McpTools } from "../../tools/mcp/port.ts";
import { ModelError } from "../model.ts";
import { offeredTools } from "../permissions.ts";
import type { HarnessPorts, StepSignals } from "../ports.ts";
import { retryEvents } from "../steps/failure.ts";
import type { ThreadView } from "../thread_view.ts";
import { serverError } from "./failures.ts";
import { type Patience, whenUnlocked } from "./locked.ts";
import { modelNames } from "./model_names.ts";
import { McpToolbox, toolsetOf } from "./toolbox.ts";

/** A broker that died is back within it; for a locked keychain the session waits without keeping its place. */
const PATIENCE: Patience = { every: 500, inAll: 3_000 };

/** What came of looking. */
export type Looked =
  /** Events for the request that comes next. */
  | { kind: "done"; events: EventDraft[] }
  /** Nothing can be asked now, for example because the keychain is locked: the thread waits. */
  | { kind: "waits"; events: EventDraft[] }
  | { kind: "stopped" };

/** Servers that must be looked at before the next request. */
export function serversToLookAt(view: Pick<ThreadView, "fold" | "sessionId">, mcp: McpTools): McpServerRef[] {
  const { fold, sessionId } = view;
  const servers = fold.agent.mcp_servers.filter(({ name }) => toolsetOf(fold.agent, name) !== null);
  return fold.mcp_connected ? servers.filter((server) => mcp.hasChanged(sessionId, server)) : servers;
}

/** Lists the servers side by side. A failure keeps the tools that a server has shown before: calls say what is wrong. */
export async function lookAtServers(
  view: ThreadView,
  servers: readonly McpServerRef[],
  ports: HarnessPorts,
  signals: StepSignals,
): Promise<Looked> {
  const signal = AbortSignal.any([signals.interrupt, signals.shutdown]);
  const { config } = view.fold.environment;
  const outcomes = await Promise.all(
    servers.map((server) => {
      const closed = closedMcpServer(config, server);
      if (closed === null) return look(view.sessionId, server, ports, signal);
      return { server, listing: null, error: new McpError("connection", "no", closed), duration_ms: 0 };
    }),
  );
  if (signal.aborted) return { kind: "stopped" };
  const locked = outcomes.find(({ error }) => error?.kind === "locked");
  if (locked?.error) {
    const waits = retryEvents(view.fold, new ModelError("locked", locked.error.message), ports);
    if (waits !== null) return { kind: "waits", events: waits };
  }
  let { mcp } = view;
  const events: EventDraft[] = [];
  for (const { server, listing, error } of outcomes) {
    if (error !== null) events.push(serverError(server.name, error));
    if (listing === null) continue;
    const shown = listingEvent(view.fold, mcp, server, listing);
    if (shown === null) continue;
    events.push(shown);
    mcp = mcp.shown(shown);
  }
  events.push({
    type: "longhaul.mcp_connected",
    servers: outcomes.map(({ server, error, duration_ms }) => ({
      mcp_server_name: server.name,
      state: error === null ? ("ready" as const) : ("failed" as const),
      duration_ms,
    })),
  });
  return { kind: "done", events };
}

interface Outcome {
  server: McpServerRef;
  listing: McpListing | null;
  error: McpError | null;
  duration_ms: number;
}

async function look(
  sessionId: string,
  server: McpServerRef,
  ports: Pick<HarnessPorts, "mcp" | "now">,
  signal: AbortSignal,
): Promise<Outcome> {
  const begun = ports.now();
  const done = (listing: McpListing | null, error: McpError | null): Outcome => {
    return { server, listing, error, duration_ms: Math.max(0, ports.now() - begun) };
  };
  try {
    const list = (): Promise<McpListing> => ports.mcp.list(sessionId, server, signal);
    return done(await whenUnlocked(list, PATIENCE, signal, () => undefined), null);
  } catch (error) {
    if (error instanceof McpError) return done(null, error);
    return done(null, new McpError("protocol", "no", error instanceof Error ? error.message : String(error)));
  }
}

type Shown = Extract<EventDraft, { type: "longhaul.mcp_tools" }>;

/** Null when the server shows what it has shown before: nothing is written then, and no prompt cache is lost. */
function listingEvent(fold: ThreadFold, mcp: McpToolbox, server: McpServerRef, listing: McpListing): Shown | null {
  const before = mcp.listing(server);
  const tools = named(fold, mcp, server, listing.tools);
  const { instructions } = listing;
  if (before !== null && same({ instructions, tools }, before)) return null;
  const { left_out } = listing;
  return { type: "longhaul.mcp_tools", mcp_server_name: server.name, url: server.url, instructions, tools, left_out };
}

function named(fold: ThreadFold, mcp: McpToolbox, server: McpServerRef, tools: readonly ListedTool[]): McpToolFacts[] {
  const taken = new Set(offeredTools(fold, McpToolbox.EMPTY).map(({ name }) => name));
  for (const other of fold.agent.mcp_servers) {
    // Servers that come later step aside, so that a name never changes because of what is listed after it.
    if (other.name === server.name) break;
    for (const { model_name } of mcp.listing(other)?.tools ?? []) taken.add(model_name);
  }
  const names = modelNames(server.name, tools, taken);
  return tools.map(({ name, description, input_schema, read_only, idempotent }, index) => ({
    model_name: names[index] ?? name,
    name,
    description,
    input_schema,
    read_only,
    idempotent,
  }));
}

function same(
  a: { instructions: string | null; tools: McpToolFacts[] },
  b: { instructions: string | null; tools: McpToolFacts[] },
): boolean {
  return a.instructions === b.instructions && JSON.stringify(a.tools) === JSON.stringify(b.tools);
}
