/** Frames as the engine sends them, for tests of the account and of following. */
import type { LedgerEvent, SessionSnapshot, StoredEvent } from "../../../contract/events.ts";
import type { TimelineFrame } from "../../../contract/local_api.ts";

const SESSION = "sesn_01TEST";
const START = Date.parse("2026-11-22T10:00:00.000Z");

/** An event without what every event has. */
export type Bare = {
  [T in LedgerEvent["type"]]: Omit<Extract<LedgerEvent, { type: T }>, "id" | "processed_at"> & { id?: string };
}[LedgerEvent["type"]];

const SNAPSHOT = {
  agent: { type: "agent", id: "agent_1", version: 1, name: "Command line", model: { id: "longhaul-demo" }, tools: [] },
  environment: { id: "env_1", name: "local", config: { type: "cloud" } },
  primary_thread_id: "sthr_1",
  title: "Fix it",
  metadata: {},
  resources: [],
  vault_ids: [],
  budget: null,
  deployment_id: null,
} as unknown as SessionSnapshot;

/** Makes stored events in order, `step` milliseconds apart. */
export class Recording {
  readonly frames: TimelineFrame[] = [];
  #seq = 0;
  #at = START;

  constructor() {
    this.add({ type: "longhaul.session_created", session: SNAPSHOT });
  }

  /** Appends one event `ms` after the one before. */
  add(event: Bare, ms = 1000): StoredEvent {
    this.#seq += 1;
    this.#at += ms;
    const created_at = new Date(this.#at).toISOString();
    const id = event.id ?? `sevt_${this.#seq}`;
    const full = { processed_at: created_at, ...event, id } as LedgerEvent;
    const stored: StoredEvent = { seq: this.#seq, session_id: SESSION, thread_id: "sthr_1", created_at, event: full };
    this.frames.push({ type: "stored", stored });
    return stored;
  }

  push(...frames: TimelineFrame[]): this {
    this.frames.push(...frames);
    return this;
  }

  get last_seq(): number {
    return this.#seq;
  }

  /** The person's task, taken up. */
  task(text = "Fix the bug"): this {
    const { event } = this.add({ type: "user.message", content: [{ type: "text", text }] });
    this.add({ type: "session.status_running" }, 0);
    this.add({ type: "longhaul.inputs_consumed", event_ids: [event.id] }, 0);
    return this;
  }

  request(id: string): this {
    this.add({ type: "span.model_request_start", id }, 0);
    return this;
  }

  /** Text of the answer as it streams. */
  stream(id: string, ...parts: string[]): this {
    this.push({
      type: "preview",
      thread_id: "sthr_1",
      frame: { type: "event_start", event: { type: "agent.message", id } },
    });
    for (const text of parts) this.delta(id, text);
    return this;
  }

  delta(id: string, text: string, index = 0): this {
    const delta = { type: "content_delta" as const, index, content: { type: "text" as const, text } };
    return this.push({ type: "preview", thread_id: "sthr_1", frame: { type: "event_delta", event_id: id, delta } });
  }

  message(id: string, text: string, ms = 1000): this {
    this.add({ type: "agent.message", id, content: [{ type: "text", text }] }, ms);
    return this;
  }

  /** Response facts and the end of the request. */
  answered(request: string, more: { stop_reason?: "tool_use" | "end_turn"; error?: boolean } = {}): this {
    const usage = {
      input_tokens: 100,
      output_tokens: 50,
      cache_read_input_tokens: 900,
      cache_creation_input_tokens: 0,
    };
    if (more.error !== true) {
      this.add(
        {
          type: "longhaul.model_response",
          model_request_start_id: request,
          message_id: "msg_1",
          model: "longhaul-demo",
          content: [],
          stop_reason: more.stop_reason ?? "end_turn",
          stop_details: null,
          usage,
          tool_events: {},
          first_token_ms: 320,
          duration_ms: 2100,
          demo: true,
        },
        0,
      );
    }
    this.add(
      {
        type: "span.model_request_end",
        model_request_start_id: request,
        is_error: more.error ?? false,
        model_usage: usage,
      },
      0,
    );
    return this;
  }

  call(id: string, name: string, input: Record<string, unknown>, permission: "allow" | "ask" | "deny" = "allow"): this {
    this.add({ type: "agent.tool_use", id, name, input, evaluated_permission: permission }, 0);
    return this;
  }

  started(id: string, attempt = 1): this {
    this.add({ type: "longhaul.tool_started", tool_use_id: id, attempt }, 0);
    return this;
  }

  result(id: string, text: string, is_error = false, ms = 4200): this {
    this.add({ type: "agent.tool_result", tool_use_id: id, content: [{ type: "text", text }], is_error }, ms);
    return this;
  }

  idle(reason: "end_turn" | "retries_exhausted" | "refusal" | "budget_reached" = "end_turn"): this {
    this.add({ type: "session.status_idle", stop_reason: { type: reason }, stop_details: null }, 0);
    return this;
  }

  waiting(...event_ids: string[]): this {
    const stop_reason = { type: "requires_action" as const, event_ids };
    this.add({ type: "session.status_idle", stop_reason, stop_details: null }, 0);
    return this;
  }

  released(): this {
    this.add({ type: "longhaul.lease_released", holder: "lhh_1", token: 1, outcome: "rested" }, 0);
    return this;
  }

  caughtUp(): this {
    return this.push({ type: "caught_up", seq: this.#seq });
  }
}
