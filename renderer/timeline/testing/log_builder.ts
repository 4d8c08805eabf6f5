/** Builds ledger contents for tests and for the fake engine: events with sequence numbers, ids and a clock. */
import type { EventDraft, LedgerEvent, SessionSnapshot, StoredEvent, Usage } from "../../../main/contract/events.ts";
import { isQueuedType } from "../../../main/contract/events.ts";

export class LogBuilder {
  readonly events: StoredEvent[] = [];
  readonly sessionId: string;
  /** Milliseconds since the epoch of the next event. */
  now: number;
  readonly #onAppend: (stored: StoredEvent) => void;

  constructor(sessionId: string, now: number, onAppend: (stored: StoredEvent) => void = () => undefined) {
    this.sessionId = sessionId;
    this.now = now;
    this.#onAppend = onAppend;
  }

  /** Lets time pass. */
  wait(ms: number): this {
    this.now += ms;
    return this;
  }

  iso(offset = 0): string {
    return new Date(this.now + offset).toISOString();
  }

  /** Appends an event and returns its id. */
  add(draft: EventDraft): string {
    const seq = this.events.length + 1;
    const id = draft.id ?? `sevt_${this.sessionId.slice(-6)}${seq.toString().padStart(20, "0")}`;
    const processed_at = isQueuedType(draft.type) ? null : this.iso();
    const { thread_id = `sthr_${this.sessionId.slice(5)}`, ...content } = draft;
    const event = { ...content, id, processed_at } as unknown as LedgerEvent;
    const stored: StoredEvent = { seq, session_id: this.sessionId, thread_id, created_at: this.iso(), event };
    this.events.push(stored);
    this.#onAppend(stored);
    return id;
  }

  create(session: Partial<SessionSnapshot> = {}): this {
    this.add({ type: "longhaul.session_created", session: { ...sampleSnapshot(this.sessionId), ...session } });
    return this;
  }

  /** A message that arrives and is taken at once by a woken engine. */
  turn(text: string): this {
    const id = this.message(text);
    this.wait(3);
    this.wake("client_event", 4121);
    this.add({ type: "longhaul.inputs_consumed", event_ids: [id] });
    return this;
  }

  message(text: string): string {
    return this.add({ type: "user.message", content: [{ type: "text", text }] });
  }

  /** The lease; the status follows at once, except after a take-over, which first tells of the cut. */
  wake(
    reason: "client_event" | "engine_start" | "retry" | "user",
    pid: number,
    takenOverFrom: string | null = null,
  ): this {
    const holder = `lhh_${pid}`;
    const boot_id = "boot";
    this.add({
      type: "longhaul.lease_acquired",
      holder,
      token: pid,
      boot_id,
      pid,
      reason,
      taken_over_from: takenOverFrom,
    });
    if (takenOverFrom === null) this.add({ type: "session.status_running" });
    return this;
  }

  /** The start of a model request; returns its span id. */
  request(messages = 2, kind: "turn" | "compaction" = "turn"): string {
    const span = this.add({ type: "span.model_request_start" });
    this.add({
      type: "longhaul.model_request",
      model_request_start_id: span,
      kind,
      shortened: false,
      model: "claude-sonnet-5-5",
      request_sha256: "0".repeat(64),
      request_bytes: 9000 + messages * 2200,
      message_count: messages,
      tool_count: 6,
    });
    return span;
  }

  /** The end of a model request, with its text and its calls; returns the ids of the calls. */
  answer(span: string, answer: Answer): string[] {
    const {
      text = null,
      calls = [],
      usage = sampleUsage(1),
      firstTokenMs = 620,
      durationMs = 2100,
      demo = false,
    } = answer;
    if (answer.thinking !== undefined) this.add({ type: "agent.thinking" });
    if (text !== null) {
      this.add({ type: "agent.message", content: [{ type: "text", text }], ...(answer.id ? { id: answer.id } : {}) });
    }
    const ids = calls.map((call) =>
      this.add({
        type: "agent.tool_use",
        name: call.name,
        input: call.input,
        evaluated_permission: call.ask === true ? "ask" : "allow",
      }),
    );
    this.add({
      type: "longhaul.model_response",
      model_request_start_id: span,
      message_id: `msg_${span}`,
      model: demo ? "longhaul-demo" : "claude-sonnet-5-5",
      content: [
        ...(answer.thinking === undefined
          ? []
          : [{ type: "thinking" as const, thinking: answer.thinking, signature: "sig" }]),
        ...(text === null ? [] : [{ type: "text" as const, text, citations: null }]),
      ],
      stop_reason: calls.length > 0 ? "tool_use" : "end_turn",
      stop_details: null,
      usage,
      tool_events: Object.fromEntries(ids.map((id, index) => [`toolu_${index}`, id])),
      first_token_ms: firstTokenMs,
      duration_ms: durationMs,
      demo,
    });
    this.add({ type: "span.model_request_end", model_request_start_id: span, is_error: false, model_usage: usage });
    return ids;
  }

  start(call: string, attempt = 1): this {
    this.add({ type: "longhaul.tool_started", tool_use_id: call, attempt });
    return this;
  }

  result(call: string, text: string, isError = false): this {
    this.add({ type: "agent.tool_result", tool_use_id: call, content: [{ type: "text", text }], is_error: isError });
    return this;
  }

  rest(outcome: "rested" | "rescheduled" = "rested"): this {
    const last = this.events.findLast((stored) => stored.event.type === "longhaul.lease_acquired")?.event;
    if (last?.type !== "longhaul.lease_acquired") return this;
    this.add({ type: "longhaul.lease_released", holder: last.holder, token: last.token, outcome });
    return this;
  }

  idle(): this {
    this.add({ type: "session.status_idle", stop_reason: { type: "end_turn" }, stop_details: null });
    return this.rest();
  }

  asks(calls: string[]): this {
    const stop_reason = { type: "requires_action" as const, event_ids: calls };
    this.add({ type: "session.status_idle", stop_reason, stop_details: null });
    return this.rest();
  }
}

export interface Answer {
  id?: string;
  text?: string | null;
  thinking?: string;
  calls?: readonly { name: string; input: Record<string, unknown>; ask?: boolean }[];
  usage?: Usage;
  firstTokenMs?: number;
  durationMs?: number;
  demo?: boolean;
}

/** Usage of the n-th request of a session whose cache works. */
export function sampleUsage(n: number): Usage {
  const prefix = n <= 1 ? 0 : 6400 + (n - 2) * 900;
  return {
    input_tokens: 40,
    output_tokens: 180 + ((n * 67) % 240),
    cache_read_input_tokens: prefix,
    cache_creation_input_tokens: n <= 1 ? 6400 : 900,
  };
}

export function sampleSnapshot(sessionId: string): SessionSnapshot {
  return {
    agent: {
      id: "agent_01SAMPLE",
      type: "agent",
      name: "Default coding agent",
      description: null,
      model: { id: "claude-sonnet-5-5" },
      system: "You are a careful software engineer.",
      tools: [],
      mcp_servers: [],
      skills: [],
      version: 1,
    } as unknown as SessionSnapshot["agent"],
    environment: {
      id: "env_01SAMPLE",
      name: "Default",
      config: {
        type: "cloud",
        networking: { type: "limited", allowed_hosts: [], allow_mcp_servers: false, allow_package_managers: true },
        packages: { type: "packages", apt: [], cargo: [], gem: [], go: [], npm: [], pip: [] },
      } as unknown as SessionSnapshot["environment"]["config"],
    },
    primary_thread_id: `sthr_${sessionId.slice(5)}`,
    title: null,
    metadata: {},
    resources: [],
    vault_ids: [],
    budget: null,
    deployment_id: null,
  };
}
