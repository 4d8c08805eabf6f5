/** What holds for every thread of a session after any log, however odd: what is decided, reported and sent agree. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkRequest } from "../../../e2e/model_server/checks/request.ts";
import { ThinkingLedger } from "../../../e2e/model_server/checks/thinking.ts";
import { DEFAULT_MODELS } from "../../../e2e/model_server/server.ts";
import type { LedgerEvent, StoredEvent } from "../../contract/events.ts";
import { foldAll, foldEvent, type SessionFold } from "../../contract/fold.ts";
import { liveThreads, threadFold } from "../../contract/threads/view.ts";
import { threadWork, unfinishedWork } from "../../contract/work.ts";
import { snapshot } from "../../orchestration/testing/rig.ts";
import { decide } from "../decide.ts";
import { buildRequest } from "./request.ts";
import { Transcript } from "./transcript.ts";

const KINDS = [
  ...["spawn", "message", "system", "outcome", "verdict", "consume", "answer", "result", "confirm", "compaction"],
  ...["interrupt", "interrupt_all", "running", "idle", "rescheduled", "retry", "request", "request_end", "session"],
  ...["budget", "resume", "cut_off", "end"],
] as const;

const op = fc.record({ kind: fc.constantFrom(...KINDS), thread: fc.nat(3), pick: fc.nat(11) });
const ops = fc.array(op, { maxLength: 60 });
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never;

const NOW = 1_800_000_000_000;
const REASONS = ["end_turn", "requires_action", "retries_exhausted", "budget_reached"] as const;
const USAGE = { input_tokens: 9, output_tokens: 9, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
const RESPONSE = {
  model_request_start_id: "x",
  message_id: "msg_1",
  model: "claude-sonnet-5-5",
  stop_details: null,
  usage: USAGE,
  first_token_ms: 1,
  duration_ms: 1,
  demo: false,
};
const content = [{ type: "text", text: "So." }];

function logOf(all: readonly Op[]): StoredEvent[] {
  const log: StoredEvent[] = [];
  let fold: SessionFold | null = null;
  const add = (thread_id: string, draft: object): string => {
    const created_at = new Date(1_700_000_000_000 + log.length * 1000).toISOString();
    const id = `sevt_${log.length}`;
    const event = { id, processed_at: created_at, ...draft } as LedgerEvent;
    const stored = { seq: log.length + 1, session_id: "sesn_1", thread_id, created_at, event };
    log.push(stored);
    fold = foldEvent(fold, stored);
    return id;
  };
  const primary = "sthr_0";
  add(primary, { type: "longhaul.session_created", session: { ...snapshot(), primary_thread_id: primary } });
  for (const { kind, thread, pick } of all) {
    if (fold === null) throw new Error("no fold");
    // Also threads that are over: what comes late for them must do no harm.
    const ids: string[] = [primary, ...(fold as SessionFold).threads.map(({ id }) => id)];
    const id = ids[thread % ids.length] ?? primary;
    const own = threadFold(fold, id);
    const child = id === primary ? {} : { session_thread_id: id };
    const status = (type: string, more = {}) => add(id, { type, agent_name: "x", session_thread_id: id, ...more });
    const calls = own.calls.map((call) => call.id);
    const call = calls[pick % Math.max(1, calls.length)] ?? "sevt_stranger";
    const type = REASONS[pick % REASONS.length] ?? "end_turn";
    const stop_reason = type === "requires_action" ? { type, event_ids: calls.slice(pick % 3) } : { type };
    switch (kind) {
      case "spawn": {
        const { multiagent: _, ...agent } = snapshot().agent;
        const mayAsk = (fold as SessionFold).calls.find((open) => !open.by_client && open.permission === "allow");
        const tool_use_id = pick % 2 === 0 ? mayAsk?.id : undefined;
        const facts = { parent_thread_id: primary, agent, tool_use_id: tool_use_id ?? null };
        add(primary, { type: "longhaul.thread_created", spawned_thread_id: `sthr_${log.length}`, ...facts });
        break;
      }
      case "message":
        if (id === primary) add(id, { type: "user.message", content });
        else add(id, { type: "agent.thread_message_received", from_session_thread_id: primary, content });
        break;
      case "system":
        add(id, { type: "system.message", content });
        break;
      case "outcome":
        add(primary, {
          type: "user.define_outcome",
          outcome_id: `outc_${log.length}`,
          description: "It works",
          rubric: { type: "text", content: "Does it?" },
        });
        break;
      case "verdict": {
        const outcome_id = (fold as SessionFold).outcomes.at(-1)?.id ?? "outc_none";
        const result = pick % 2 === 0 ? "needs_revision" : "satisfied";
        add(primary, { type: "span.outcome_evaluation_start", outcome_id, iteration: 0 });
        if (pick < 8) add(primary, { type: "span.outcome_evaluation_end", outcome_id, result, explanation: "So." });
        break;
      }
      case "consume":
        add(id, {
          type: "longhaul.inputs_consumed",
          event_ids: own.inputs.slice(0, 1 + (pick % 4)).map((input) => input.id),
        });
        break;
      case "answer": {
        const tool_events: Record<string, string> = {};
        const blocks: object[] = [{ type: "text", text: "So.", citations: null }];
        for (let n = 0; n < pick % 4; n++) {
          const custom = (pick + n) % 3 === 0;
          const evaluated_permission = ["allow", "ask", "deny"][(pick + n) % 3];
          const use = { name: custom ? "ticket" : "bash", input: {}, ...child };
          const event = custom
            ? { type: "agent.custom_tool_use", ...use }
            : { type: "agent.tool_use", ...use, evaluated_permission };
          tool_events[`toolu_${log.length}`] = add(id, event);
          blocks.push({ type: "tool_use", id: `toolu_${log.length - 1}`, name: use.name, input: {} });
        }
        const stop_reason = pick % 4 === 0 ? "end_turn" : "tool_use";
        add(id, { type: "longhaul.model_response", content: blocks, tool_events, stop_reason, ...RESPONSE });
        break;
      }
      case "result":
        if (own.calls.find((open) => open.id === call)?.kind === "custom")
          add(id, { type: "user.custom_tool_result", custom_tool_use_id: call, content, ...child });
        else add(id, { type: "agent.tool_result", tool_use_id: call, content });
        break;
      case "confirm":
        add(id, {
          type: "user.tool_confirmation",
          tool_use_id: call,
          result: pick % 3 === 0 ? "deny" : "allow",
          ...child,
        });
        break;
      case "compaction":
        add(id, { type: "longhaul.compaction", summary: "So far.", through_seq: log.length, ...RESPONSE });
        break;
      case "interrupt":
        add(id, { type: "user.interrupt", session_thread_id: id });
        break;
      case "interrupt_all":
        add(primary, { type: "user.interrupt" });
        break;
      case "running":
        status("session.thread_status_running");
        break;
      case "idle":
        status("session.thread_status_idle", { stop_reason });
        break;
      case "rescheduled":
        status("session.thread_status_rescheduled");
        break;
      case "retry": {
        const at = new Date(NOW + (pick % 2 === 0 ? 60_000 : -60_000)).toISOString();
        add(id, { type: "longhaul.retry_scheduled", attempt: 1, at, error_type: "x", waits_for_network: false });
        break;
      }
      case "request":
        add(id, { type: "span.model_request_start" });
        break;
      case "request_end":
        add(id, { type: "span.model_request_end", model_request_start_id: "x", model_usage: USAGE });
        break;
      case "session": {
        const states = ["session.status_running", "session.status_idle", "session.status_rescheduled"];
        add(primary, { type: states[thread % 3], stop_reason });
        break;
      }
      case "budget": {
        const max_list_cost = { amount: pick % 2 === 0 ? "0" : "100000", currency: "USD" };
        add(primary, { type: "session.updated", budget: pick % 3 === 0 ? null : { type: "limit", max_list_cost } });
        break;
      }
      case "resume":
        add(primary, { type: "longhaul.resume_requested", by: "user" });
        break;
      case "cut_off":
        add(primary, { type: "longhaul.cut_off", cause: "engine_died", last_event_at: log.at(-1)?.created_at });
        break;
      case "end":
        if (id !== primary) status("session.thread_status_terminated");
        break;
    }
  }
  return log;
}

test("of every thread, what is decided agrees with what is reported as unfinished", () => {
  fc.assert(
    fc.property(ops, (all) => {
      const fold = foldAll(logOf(all));
      if (fold === null) throw new Error("no fold");
      const works = liveThreads(fold).map((id) => {
        const thread = threadFold(fold, id);
        const work = threadWork(thread, NOW);
        const { kind } = decide(thread, { compact_at_tokens: 1_000, max_rounds: 1_000 }, NOW);
        expect(kind === "rest", `${id}: ${kind}, ${work}`).toBe(work !== "now");
        return work;
      });
      expect(unfinishedWork(fold, NOW) === "now").toBe(works.includes("now"));
    }),
    { numRuns: Number(process.env["RUNS"] ?? 600) },
  );
});

test("any prefix of any log gives every thread a valid request that keeps the bytes of the one before, and folds alike from JSON", () => {
  fc.assert(
    fc.property(ops, (all) => {
      let fold: SessionFold | null = null;
      const transcripts = new Map<string, { transcript: Transcript; sent: string[] }>();
      const log = logOf(all);
      for (const stored of log) {
        fold = foldEvent(fold === null ? null : (JSON.parse(JSON.stringify(fold)) as SessionFold), stored);
        if (fold === null) throw new Error("no fold");
        const own = transcripts.get(stored.thread_id) ?? { transcript: new Transcript(), sent: [] };
        transcripts.set(stored.thread_id, own);
        own.transcript.apply(stored);
        const { body } = buildRequest(threadFold(fold, stored.thread_id), own.transcript, {
          kind: "turn",
          shortened: false,
        });
        checkRequest(JSON.parse(body), "create", DEFAULT_MODELS, new ThinkingLedger("key"));
        if (stored.event.type === "longhaul.compaction") own.sent = [];
        const messages = own.transcript.messages();
        expect(messages.slice(0, Math.max(0, own.sent.length - 1))).toEqual(own.sent.slice(0, -1));
        if (stored.event.type === "longhaul.model_response") own.sent = messages.slice(0, -1);
      }
      expect(fold).toEqual(foldAll(log));
    }),
    { numRuns: 60 },
  );
});
