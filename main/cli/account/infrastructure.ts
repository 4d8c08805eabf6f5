/** Rows of everything that is neither model text nor a tool call: you, the sandbox, retries, cut-offs, sleep. */
import type { ContinuationCause, LonghaulEventOf, Settlement, StoredEvent } from "../../contract/events.ts";
import type { AccountState } from "./account.ts";
import { note, row } from "./rows.ts";
import { count, duration, harmless, type Style, textOf } from "./words.ts";

/** Rows of one event; "" for those that need none. `before` and `after` are the states around it. */
export function infrastructureRows(
  before: AccountState,
  after: AccountState,
  stored: StoredEvent,
  style: Style,
): string {
  const { event, created_at: at } = stored;
  switch (event.type) {
    case "user.message":
      return row(style, at, "you", harmless(textOf(event.content)), { paint: "bold" });
    case "user.define_outcome":
      return row(style, at, "you", `outcome: ${harmless(textOf(event.description))}`, {
        paint: "bold",
      });
    case "span.outcome_evaluation_end": {
      const bad = event.result !== "satisfied" && event.result !== "needs_revision";
      const what = `${event.result.replaceAll("_", " ")}: ${harmless(event.explanation)}`;
      return row(style, at, "grader", what, { paint: bad ? "red" : "bold" });
    }
    case "user.interrupt":
      return row(style, at, "you", "interrupt", { paint: "yellow" });
    case "user.tool_confirmation": {
      const name = before.calls[event.tool_use_id]?.name ?? "the call";
      const reason =
        event.deny_message === undefined || event.deny_message === null ? "" : `: ${harmless(event.deny_message)}`;
      return row(style, at, "you", event.result === "allow" ? `allowed ${name}` : `denied ${name}${reason}`, {
        paint: "bold",
      });
    }
    case "longhaul.inputs_consumed": {
      const turn = after.fold?.turns ?? 0;
      return turn > (before.fold?.turns ?? 0) && turn > 1 ? row(style, at, "turn", String(turn), { paint: "dim" }) : "";
    }
    case "longhaul.resume_requested":
      return row(style, at, "resume", `asked for by ${event.by === "user" ? "you" : "a program"}`, { paint: "bold" });
    case "agent.thinking":
      return row(style, at, "model", "(thought about it)", { paint: "dim", whole: true });
    case "session.error": {
      const { message, retry_status } = event.error;
      const next = { retrying: "it is tried again", exhausted: "given up", terminal: "the session ends" }[
        retry_status.type
      ];
      return row(style, at, "error", `${harmless(message)} (${next})`, { paint: "red" });
    }
    case "session.status_terminated":
      return row(style, at, "ended", "The session was ended for good.", { paint: "red" });
    default:
      return longhaulRows(before, stored, style);
  }
}

function longhaulRows(before: AccountState, stored: StoredEvent, style: Style): string {
  const { event, created_at: at } = stored;
  switch (event.type) {
    case "longhaul.sandbox_provisioning": {
      return row(style, at, "sandbox", `${event.provider}: ${PROVISIONED[event.cause]}`, { paint: "dim" });
    }
    case "longhaul.sandbox_step": {
      const failed = event.error !== null;
      const how = failed ? `failed: ${harmless(event.error ?? "")}` : duration(event.duration_ms);
      return row(style, at, "sandbox", `${event.step} · ${how}`, { paint: failed ? "red" : "dim" });
    }
    case "longhaul.sandbox_ready": {
      const how = event.adopted ? "the one from before is still there" : "ready";
      return row(style, at, "sandbox", `${event.provider}: ${how} · ${duration(event.duration_ms)}`, { paint: "dim" });
    }
    case "longhaul.sandbox_lost":
      return row(style, at, "sandbox", `${event.provider} is gone: ${harmless(event.reason)}`, { paint: "red" });
    case "longhaul.retry_scheduled": {
      const wait = duration(Math.max(0, Date.parse(event.at) - Date.parse(at)));
      const unlocked = event.waits_for_keychain ? "when the keychain is unlocked" : null;
      const when = unlocked ?? (event.waits_for_network ? "when the network is back" : `in ${wait}`);
      return row(style, at, "retry", `attempt ${event.attempt + 1} ${when}`, { paint: "yellow" });
    }
    case "longhaul.cut_off":
      return cutOffRows(before, event, at, style);
    case "longhaul.sleep_gap":
      return row(style, event.from, "asleep", `${duration(event.seconds * 1000)}, until ${style.clock(event.to)}`, {
        paint: "yellow",
      });
    case "longhaul.call_settled": {
      const answered = before.answered?.id === event.tool_use_id ? before.answered : null;
      const call = before.calls[event.tool_use_id] ?? answered;
      return row(style, at, "settled", `${call?.name ?? "a call"} ${SETTLED[event.how]}`, { paint: "yellow" });
    }
    case "longhaul.outcome_unknown":
      return row(style, at, "unknown", `${event.tool_name}: ${harmless(event.message)}`, { paint: "red" });
    case "longhaul.model_request_abandoned":
      return event.cause === "cut_off" ? note(style, "the model request that was cut off is sent again", "yellow") : "";
    case "longhaul.continuation":
      return note(style, CONTINUATIONS[event.cause]);
    case "longhaul.compaction":
      return row(
        style,
        at,
        "context",
        `${count(event.tokens_before)} tokens were summed up; the session itself stays complete`,
        {
          paint: "dim",
        },
      );
    case "longhaul.session_archived":
      return row(style, at, "archived", "The session was archived.", { paint: "dim" });
    default:
      return "";
  }
}

const PROVISIONED = {
  first_tool_call: "is made ready for the first tool call",
  replaced: "a new one is made",
  resources_changed: "gets what was attached since",
} as const;

const CONTINUATIONS: Record<ContinuationCause, string> = {
  max_tokens: "the answer reached its length limit; the model goes on",
  pause_turn: "the model goes on",
  outcome_revision: "the model revises its work",
  outcome_limit: "no evaluation is left; the model closes",
};

const SETTLED: Record<Settlement, string> = {
  collected: "finished in the sandbox meanwhile; its result was collected",
  reattached: "still runs in the sandbox; watching it again",
  run_again: "had taken no effect that a repeat could double, so it is run again",
  outcome_unknown: "may or may not have taken effect; the model was told so",
  interrupted: "was stopped",
  denied: "was denied",
};

const CAUSES: Record<LonghaulEventOf<"longhaul.cut_off">["cause"], string> = {
  engine_died: "the engine died",
  engine_frozen: "the engine did not move for too long",
  shutdown: "the engine was shut down",
};

/** What cut the session off, and when. */
export function cutOffRow(event: LonghaulEventOf<"longhaul.cut_off">, at: string, style: Style): string {
  const text =
    `${CAUSES[event.cause]} after ${style.clock(event.last_event_at)}; noticed at ${style.clock(event.noticed_at)}. ` +
    "Everything before is safe.";
  return row(style, at, "cut off", text, { paint: "yellow" });
}

function cutOffRows(
  before: AccountState,
  event: LonghaulEventOf<"longhaul.cut_off">,
  at: string,
  style: Style,
): string {
  const calls = event.calls_in_flight.map((id) => {
    const call = before.calls[id];
    return note(
      style,
      call === undefined ? "in flight: a tool call" : `in flight: ${call.name} ${call.what}`,
      "yellow",
    );
  });
  const request = event.model_request_in_flight === null ? "" : note(style, "in flight: a model request", "yellow");
  return cutOffRow(event, at, style) + calls.join("") + request;
}
