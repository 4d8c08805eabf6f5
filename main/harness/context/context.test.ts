import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkRequest } from "../../../e2e/model_server/checks/request.ts";
import { ThinkingLedger } from "../../../e2e/model_server/checks/thinking.ts";
import { DEFAULT_MODELS } from "../../../e2e/model_server/server.ts";
import type { LedgerEvent, StoredEvent } from "../../contract/events.ts";
import { foldAll, foldEvent, type SessionFold } from "../../contract/fold.ts";
import { threadFold } from "../../contract/threads/view.ts";
import { unfinishedWork } from "../../contract/work.ts";
import { snapshot } from "../../orchestration/testing/rig.ts";
import { decide } from "../decide.ts";
import { buildRequest } from "./request.ts";
import { Transcript } from "./transcript.ts";

type Op =
  | { op: "message"; text: string }
  | { op: "system"; text: string }
  | { op: "outcome"; text: string }
  | { op: "verdict"; result: string }
  | { op: "grading" }
  | { op: "running" }
  | { op: "consume" }
  | { op: "answer"; text: string; calls: number; stop: "end_turn" | "max_tokens" | "refusal" | "pause_turn" | null }
  | { op: "result"; pick: number; text: string; is_error: boolean }
  | { op: "compaction"; text: string }
  | { op: "continuation" }
  | { op: "interrupt" }
  | { op: "request_start" }
  | { op: "unknown" };

const text = fc.oneof(
  fc.string({ maxLength: 30 }),
  fc.string({ unit: "binary", maxLength: 10 }),
  fc.constantFrom("", " \n", "a\0b", "\ud800", "</summary>"),
);
const op: fc.Arbitrary<Op> = fc.oneof(
  fc.record({ op: fc.constantFrom("message" as const, "system" as const, "outcome" as const), text }),
  fc.record({ op: fc.constant("verdict" as const), result: fc.constantFrom("needs_revision", "satisfied", "failed") }),
  fc.constant({ op: "consume" as const }),
  fc.record({
    op: fc.constant("answer" as const),
    text,
    calls: fc.nat(3),
    stop: fc.constantFrom("end_turn" as const, "max_tokens" as const, "refusal" as const, "pause_turn" as const, null),
  }),
  fc.record({ op: fc.constant("result" as const), pick: fc.nat(9), text, is_error: fc.boolean() }),
  fc.record({ op: fc.constant("compaction" as const), text }),
  fc.constantFrom(
    { op: "continuation" as const },
    { op: "interrupt" as const },
    { op: "request_start" as const },
    { op: "grading" as const },
    { op: "running" as const },
    { op: "unknown" as const },
  ),
);

/** Turns operations into a log. Nothing stops it from being odd: results twice, for strangers, out of order. */
function logOf(ops: readonly Op[]): StoredEvent[] {
  const log: StoredEvent[] = [];
  const uses: string[] = [];
  const waiting: string[] = [];
  let outcome_id = "outc_none";
  let count = 0;
  const add = (draft: object): string => {
    const id = `sevt_${++count}`;
    const at = new Date(1_700_000_000_000 + count * 1000).toISOString();
    const event = { id, processed_at: at, ...draft } as LedgerEvent;
    log.push({ seq: log.length + 1, session_id: "sesn_1", thread_id: "sthr_1", created_at: at, event });
    return event.id;
  };
  add({ type: "longhaul.session_created", session: snapshot() });
  for (const each of ops) {
    switch (each.op) {
      case "message":
        waiting.push(add({ type: "user.message", content: [{ type: "text", text: each.text }] }));
        break;
      case "system":
        waiting.push(add({ type: "system.message", content: [{ type: "text", text: each.text }] }));
        break;
      case "outcome": {
        outcome_id = `outc_${count}`;
        const rubric = { type: "text", content: each.text };
        waiting.push(add({ type: "user.define_outcome", outcome_id, description: "It works", rubric }));
        break;
      }
      case "verdict":
        add({ type: "span.outcome_evaluation_end", outcome_id, result: each.result, iteration: 0, explanation: "So." });
        break;
      case "grading":
        add({ type: "span.outcome_evaluation_start", outcome_id, iteration: 0 });
        add({ type: "longhaul.model_response", kind: "grading", content: [], tool_events: {}, ...RESPONSE });
        break;
      case "running":
        add({ type: "session.status_running" });
        break;
      case "consume":
        add({ type: "longhaul.inputs_consumed", event_ids: waiting.splice(0) });
        break;
      case "answer": {
        const content: object[] = [{ type: "text", text: each.text, citations: null }];
        const tool_events: Record<string, string> = {};
        for (let i = 0; i < each.calls; i++) {
          const model_id = `toolu_${count}_${i}`;
          const input = { command: each.text };
          tool_events[model_id] = add({ type: "agent.tool_use", name: "bash", input, evaluated_permission: "allow" });
          uses.push(tool_events[model_id] ?? "");
          content.push({ type: "tool_use", id: model_id, name: "bash", input });
        }
        add({ type: "longhaul.model_response", content, tool_events, stop_reason: each.stop, ...RESPONSE });
        break;
      }
      case "result": {
        const tool_use_id = uses[each.pick % Math.max(1, uses.length)] ?? "sevt_stranger";
        const content = each.text === "" ? [] : [{ type: "text", text: each.text }];
        add({ type: "agent.tool_result", tool_use_id, content, is_error: each.is_error });
        break;
      }
      case "compaction":
        add({
          type: "longhaul.compaction",
          summary: each.text,
          through_seq: log.length,
          model_request_start_id: "x",
          tokens_before: 1,
        });
        break;
      case "continuation":
        add({ type: "longhaul.continuation", text: "Go on.", cause: "max_tokens" });
        break;
      case "interrupt":
        add({ type: "longhaul.inputs_consumed", event_ids: [add({ type: "user.interrupt" })] });
        break;
      case "request_start":
        add({ type: "span.model_request_start" });
        break;
      case "unknown":
        add({ type: "longhaul.from_the_future", anything: { at: "all" } });
        break;
    }
  }
  return log;
}

/** A model that takes no system messages in a conversation. */
const LOCAL = "qwen3-coder";
const LOCAL_LIMITS = { [LOCAL]: { context: 200_000, max_output: 64_000, prefill: false, system_role: false } };

const RESPONSE = {
  model_request_start_id: "x",
  message_id: "msg_1",
  model: "claude-sonnet-5-5",
  stop_details: null,
  usage: { input_tokens: 1, output_tokens: 1, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 },
  first_token_ms: 1,
  duration_ms: 1,
  demo: false,
};

function requestOf(log: readonly StoredEvent[], model?: string): { body: string; fold: SessionFold } {
  const transcript = new Transcript();
  for (const stored of log) transcript.apply(stored);
  const fold = foldAll(log);
  if (fold === null) throw new Error("the log has no beginning");
  if (model !== undefined) fold.agent = { ...fold.agent, model: { id: model } as typeof fold.agent.model };
  return {
    fold,
    body: buildRequest(threadFold(fold, fold.primary_thread_id), transcript, { kind: "turn", shortened: false }).body,
  };
}

describe("context", () => {
  test("any prefix of any log gives a request that the Messages API accepts", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), (ops) => {
        const log = logOf(ops);
        for (let length = 1; length <= log.length; length++) {
          const { body } = requestOf(log.slice(0, length));
          checkRequest(JSON.parse(body), "create", DEFAULT_MODELS, new ThinkingLedger("key"));
          const local = requestOf(log.slice(0, length), LOCAL);
          checkRequest(JSON.parse(local.body), "create", LOCAL_LIMITS, new ThinkingLedger("key"));
        }
      }),
      { numRuns: 150 },
    );
  });

  test("a longer log keeps the bytes of every message before the last, until a compaction", () => {
    const plain = op.filter((each) => each.op !== "compaction" && each.op !== "answer");
    const answer = fc.record({
      op: fc.constant("answer" as const),
      text: fc.string({ minLength: 1, maxLength: 9 }),
      calls: fc.nat(2),
      stop: fc.constant("end_turn" as const),
    });
    fc.assert(
      fc.property(fc.array(fc.oneof(plain, answer), { maxLength: 40 }), fc.boolean(), (ops, systemRole) => {
        const log = logOf(ops);
        const transcript = new Transcript();
        let before: string[] = [];
        for (const stored of log) {
          transcript.apply(stored);
          const now = transcript.messages(undefined, systemRole);
          expect(now.slice(0, Math.max(0, before.length - 1))).toEqual(before.slice(0, -1));
          if (stored.event.type === "longhaul.model_response") before = now.slice(0, -1);
        }
      }),
      { numRuns: 150 },
    );
  });

  test("the same log gives the same bytes, also when it was applied in pieces", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 30 }), (ops) => {
        const log = logOf(ops);
        expect(requestOf(JSON.parse(JSON.stringify(log)) as StoredEvent[]).body).toBe(requestOf(log).body);
      }),
      { numRuns: 50 },
    );
  });

  test("the system prompt and the tools come before the messages, with one fixed breakpoint", () => {
    const { body } = requestOf(logOf([{ op: "message", text: "Hi" }, { op: "consume" }]));
    expect(body.indexOf('"tools"')).toBeLessThan(body.indexOf('"system"'));
    expect(body.indexOf('"system"')).toBeLessThan(body.indexOf('"messages"'));
    expect(body.match(/cache_control/g)).toHaveLength(2);
  });
});

describe("fold", () => {
  test("folding in one go and event by event agree, and the fold survives JSON", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), (ops) => {
        const log = logOf(ops);
        let fold: SessionFold | null = null;
        for (const stored of log) {
          fold = foldEvent(fold === null ? null : (JSON.parse(JSON.stringify(fold)) as SessionFold), stored);
        }
        expect(fold).toEqual(foldAll(log));
        expect(fold?.last_seq).toBe(log.length);
      }),
      { numRuns: 100 },
    );
  });

  test("what is decided agrees with what is reported as unfinished, after any log", () => {
    fc.assert(
      fc.property(fc.array(op, { maxLength: 40 }), (ops) => {
        const fold = foldAll(logOf(ops));
        if (fold === null) throw new Error("no fold");
        const action = decide(
          threadFold(fold, fold.primary_thread_id),
          { compact_at_tokens: 1_000, max_rounds: 1_000 },
          Date.now(),
        );
        const work = unfinishedWork(fold);
        expect(action.kind === "rest").toBe(work !== "now");
      }),
      { numRuns: 300 },
    );
  });

  test("no draft type is forgotten: an unknown one only moves the position", () => {
    const log = logOf([{ op: "unknown" }]);
    const [first, second] = log;
    if (first === undefined || second === undefined) throw new Error("two events");
    const before = foldEvent(null, first);
    const after = foldEvent(before, second);
    expect({ ...after, last_seq: 1, updated_at: before?.updated_at }).toEqual(before);
  });
});
