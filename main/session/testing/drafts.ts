/** Events for the ledger's tests. */
import type { EventDraft, SessionSnapshot, StoredEvent } from "../../contract/events.ts";
import { newId } from "../../contract/ids.ts";
import type { EventRange, Holder, Ledger } from "../ledger.ts";

export const PRIMARY_THREAD = "sthr_PRIMARY";

export function snapshot(overrides: Partial<SessionSnapshot> = {}): SessionSnapshot {
  return {
    agent: {
      id: "agent_A",
      type: "agent",
      version: 1,
      name: "Coder",
      description: null,
      system: null,
      model: { id: "claude-opus-4-6" },
      tools: [],
      mcp_servers: [],
      skills: [],
      multiagent: null,
      execution_identity: { type: "service_account" },
    },
    environment: { id: "env_A", name: "default", config: { type: "self_hosted" } },
    primary_thread_id: PRIMARY_THREAD,
    title: null,
    metadata: {},
    resources: [],
    vault_ids: [],
    budget: null,
    deployment_id: null,
    ...overrides,
  };
}

export function sessionCreated(overrides: Partial<SessionSnapshot> = {}): EventDraft {
  return { type: "longhaul.session_created", session: snapshot(overrides) };
}

export function userMessage(text: string): EventDraft {
  return { type: "user.message", content: [{ type: "text", text }] };
}

export function agentMessage(text: string): EventDraft {
  return { type: "agent.message", content: [{ type: "text", text }] };
}

export function consumed(...inputs: StoredEvent[]): EventDraft {
  return { type: "longhaul.inputs_consumed", event_ids: inputs.map(({ event }) => event.id) };
}

export function idle(): EventDraft {
  return { type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null };
}

export function holder(id: string, overrides: Partial<Holder> = {}): Holder {
  return { id, boot_id: "boot-1", pid: 4242, pid_started_at: 1, ...overrides };
}

/** A session of its own with only its first event. */
export async function newSession(ledger: Ledger, overrides: Partial<SessionSnapshot> = {}): Promise<string> {
  const id = newId("session");
  await ledger.createSession(id, [sessionCreated(overrides)]);
  return id;
}

export async function read(ledger: Ledger, sessionId: string, range?: EventRange): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  for await (const stored of ledger.getEvents(sessionId, range)) events.push(stored);
  return events;
}

/** The text of a message event, or its type: enough to tell an order. */
export function label(stored: StoredEvent): string {
  const { event } = stored;
  if (event.type !== "user.message" && event.type !== "agent.message") return event.type;
  const block = event.content?.[0];
  return block?.type === "text" ? block.text : event.type;
}
