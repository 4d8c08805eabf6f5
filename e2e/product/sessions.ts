/** Sessions of a running product, made and read through the official SDK and the local API. */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import type { StoredEvent } from "../../main/contract/events.ts";
import type { SessionSummary } from "../../main/contract/local_api.ts";
import { type Product, until } from "./serve.ts";

export interface SessionWish {
  text: string;
  /** A rubric makes the text the description of an outcome. */
  rubric?: string;
  model?: string;
  policy?: "always_allow" | "always_ask";
  resources?: object[];
  /** Address of an MCP server, whose tools are all allowed. */
  mcp?: string;
}

/** Creates agent, environment and session; returns the session's id. */
export async function createSession(product: Product, wish: SessionWish): Promise<string> {
  const { beta } = product.client;
  const name = `test-${Math.random().toString(36).slice(2)}`;
  const agent = await beta.agents.create({
    name,
    model: wish.model ?? "claude-sonnet-5-5",
    tools: [
      {
        type: "agent_toolset_20260401",
        default_config: { enabled: true, permission_policy: { type: wish.policy ?? "always_allow" } },
      },
      ...(wish.mcp === undefined ? [] : [{ type: "mcp_toolset" as const, mcp_server_name: "notes" }]),
    ],
    ...(wish.mcp === undefined ? {} : { mcp_servers: [{ type: "url" as const, name: "notes", url: wish.mcp }] }),
  });
  const environment = await beta.environments.create({ name });
  const session = await beta.sessions.create({
    agent: agent.id,
    environment_id: environment.id,
    // Our own resource type is not in the SDK's union.
    resources: (wish.resources ?? []) as never,
    initial_events: [
      wish.rubric === undefined
        ? { type: "user.message", content: [{ type: "text", text: wish.text }] }
        : { type: "user.define_outcome", description: wish.text, rubric: { type: "text", content: wish.rubric } },
    ],
  });
  return session.id;
}

/** Every event of a session, local ones included. */
export async function eventsOf(product: Product, sessionId: string): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for (;;) {
    const after = events.at(-1)?.seq ?? 0;
    const page = await product.local<{ data: StoredEvent[] }>(
      `/sessions/${sessionId}/events?after=${after}&limit=1000`,
    );
    if (page.data.length === 0) return events;
    events.push(...page.data);
  }
}

export function summaryOf(product: Product, sessionId: string): Promise<SessionSummary> {
  return product.local<SessionSummary>(`/sessions/${sessionId}`);
}

/** Waits until the session rests, and returns its summary. */
export function untilRests(product: Product, sessionId: string, ms = 60_000): Promise<SessionSummary> {
  return until(
    `${sessionId} to rest`,
    async () => {
      const summary = await summaryOf(product, sessionId);
      return summary.activity === null && summary.work !== "now" && summary.work !== "later" ? summary : null;
    },
    ms,
  );
}

/** Text of the last `agent.message`. */
export function finalMessage(events: readonly StoredEvent[]): string {
  const last = events.findLast(({ event }) => event.type === "agent.message")?.event;
  if (last?.type !== "agent.message") return "";
  return last.content.map((block) => (block.type === "text" ? block.text : "")).join("");
}

/** Files of a session's workspace by path, as text. */
export function workspaceFiles(dataDir: string, sessionId: string): Record<string, string> {
  const root = join(dataDir, "sandboxes", sessionId, "root", "workspace");
  const files: Record<string, string> = {};
  const walk = (dir: string): void => {
    for (const name of readdirSync(dir).sort()) {
      const path = join(dir, name);
      if (name === "__pycache__") continue;
      if (statSync(path).isDirectory()) walk(path);
      else files[relative(root, path)] = readFileSync(path, "utf8");
    }
  };
  walk(root);
  return files;
}

/**
 * What must hold in every ledger: contiguous positions, exactly one result for every tool use, one end for every evaluation
 * of an outcome, and no evaluation counted twice.
 */
export function problemsIn(events: readonly StoredEvent[]): string[] {
  const problems: string[] = [];
  events.forEach(({ seq }, index) => {
    if (seq !== index + 1) problems.push(`position ${index + 1} holds seq ${seq}`);
  });
  const results = new Map<string, number>();
  for (const { event } of events) {
    if (event.type === "agent.tool_use") results.set(event.id, 0);
    if (event.type !== "agent.tool_result") continue;
    const before = results.get(event.tool_use_id);
    if (before === undefined) problems.push(`result ${event.id} has no call`);
    else results.set(event.tool_use_id, before + 1);
  }
  for (const [id, count] of results) if (count !== 1) problems.push(`call ${id} has ${count} results`);
  problems.push(...evaluationProblems(events));
  return problems;
}

function evaluationProblems(events: readonly StoredEvent[]): string[] {
  const starts: string[] = [];
  const ends: string[] = [];
  const iterations: string[] = [];
  for (const { event } of events) {
    if (event.type === "span.outcome_evaluation_start") starts.push(event.id);
    if (event.type !== "span.outcome_evaluation_end" || event.outcome_evaluation_start_id === "") continue;
    ends.push(event.outcome_evaluation_start_id);
    iterations.push(`${event.outcome_id} ${event.iteration}`);
  }
  const problems: string[] = [];
  if (starts.join() !== ends.join()) problems.push(`evaluations ${starts.join()} started and ${ends.join()} ended`);
  if (new Set(iterations).size < iterations.length) problems.push(`iterations ${iterations.join()}`);
  return problems;
}
