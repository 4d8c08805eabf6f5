/** Rules across messages: tool calls and their results, and the thinking that led to a call. */
import { reject } from "./rejection.ts";
import type { Json } from "./shape.ts";
import type { ThinkingLedger } from "./thinking.ts";

export interface Turn {
  role: "user" | "assistant" | "system";
  /** Position of the first message that was merged into this turn. */
  index: number;
  blocks: Json[];
}

/** Merges consecutive messages of one role into one turn, as the API does. */
export function turnsOf(messages: readonly Json[]): Turn[] {
  const turns: Turn[] = [];
  messages.forEach((message, index) => {
    const role = message.role as Turn["role"];
    const content = message.content;
    const blocks = typeof content === "string" ? [{ type: "text", text: content }] : (content as Json[]);
    const last = turns.at(-1);
    if (last?.role === role) last.blocks.push(...blocks);
    else turns.push({ role, index, blocks: [...blocks] });
  });
  return turns;
}

const idsOf = (turn: Turn | undefined): string[] =>
  (turn?.blocks ?? []).filter((block) => block.type === "tool_use").map((block) => String(block.id));

/** Each `tool_use` has exactly one `tool_result`, in the next message and before any text; no result is without a call. */
export function checkToolPairs(turns: readonly Turn[]): void {
  const seen = new Set<string>();
  turns.forEach((turn, at) => {
    if (turn.role === "assistant") {
      turn.blocks.forEach((block, i) => {
        if (block.type !== "tool_use") return;
        const id = String(block.id);
        if (seen.has(id)) reject(`messages.${turn.index}.content.${i}: \`tool_use\` ids must be unique`);
        seen.add(id);
      });
      checkAnswered(turn, turns[at + 1]);
    } else checkResults(turn, turns[at - 1]);
  });
}

function checkAnswered(turn: Turn, next: Turn | undefined): void {
  const ids = idsOf(turn);
  if (ids.length === 0) return;
  const leading = new Set<string>();
  if (next?.role === "user") {
    for (const block of next.blocks) {
      if (block.type !== "tool_result") break;
      leading.add(String(block.tool_use_id));
    }
  }
  const open = ids.filter((id) => !leading.has(id));
  if (open.length === 0) return;
  reject(
    `messages.${turn.index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${open.join(", ")}. ` +
      "Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
  );
}

function checkResults(turn: Turn, previous: Turn | undefined): void {
  const expected = new Set(previous?.role === "assistant" ? idsOf(previous) : []);
  const found = new Set<string>();
  turn.blocks.forEach((block, i) => {
    if (block.type !== "tool_result") return;
    const id = String(block.tool_use_id);
    const at = `messages.${turn.index}.content.${i}`;
    if (!expected.has(id)) {
      reject(
        `${at}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${id}. ` +
          "Each `tool_result` block must have a corresponding `tool_use` block in the previous message.",
      );
    }
    if (found.has(id)) {
      reject(`${at}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${id}`);
    }
    found.add(id);
  });
}

/**
 * Thinking blocks come back exactly as they were issued, and a call of the running tool loop still has the thinking
 * that led to it. `enabled` is false when the request turns thinking off: then the API ignores earlier thinking.
 */
export function checkThinking(turns: readonly Turn[], ledger: ThinkingLedger, enabled: boolean): void {
  for (const turn of turns) {
    turn.blocks.forEach((block, i) => {
      if (block.type !== "thinking" && block.type !== "redacted_thinking") return;
      if (!ledger.verify(block)) {
        reject(`messages.${turn.index}.content.${i}: Invalid \`signature\` in \`${String(block.type)}\` block`);
      }
    });
  }
  if (!enabled) return;
  for (const turn of runningLoop(turns)) checkKept(turn, ledger);
}

/** Assistant turns after the last user message that is more than tool results. */
function runningLoop(turns: readonly Turn[]): Turn[] {
  const start = turns.findLastIndex(
    (turn) => turn.role === "user" && turn.blocks.every((block) => block.type !== "tool_result"),
  );
  return turns.slice(start + 1).filter((turn) => turn.role === "assistant");
}

function checkKept(turn: Turn, ledger: ThinkingLedger): void {
  const before: string[] = [];
  turn.blocks.forEach((block, i) => {
    if (block.type === "thinking") before.push(String(block.signature));
    if (block.type === "redacted_thinking") before.push(String(block.data));
    if (block.type !== "tool_use") return;
    const issued = ledger.before(String(block.id));
    if (issued.every((signature) => before.includes(signature))) return;
    reject(
      `messages.${turn.index}.content.${i}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant message cannot be modified. ` +
        "These blocks must remain as they were in the original response.",
    );
  });
}
