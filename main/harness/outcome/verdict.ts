/** Reads the grader's answer: the call of its tool, or the same as JSON from a model that does not call tools. */
import type { ContentBlock } from "@anthropic-ai/sdk/resources/messages/messages";
import { clean } from "../context/blocks.ts";
import type { Verdict } from "./ends.ts";
import { VERDICT_TOOL } from "./grader_request.ts";

const MAX_EXPLANATION = 20_000;
/** Opening braces that are tried as the beginning of a verdict. */
const MAX_BRACES = 200;

/** Null when the answer holds no verdict. */
export function readVerdict(content: readonly ContentBlock[]): Verdict | null {
  for (const block of content.toReversed()) {
    const value = block.type === "tool_use" && block.name === VERDICT_TOOL.name ? block.input : null;
    const verdict = asVerdict(value);
    if (verdict !== null) return verdict;
  }
  const text = content.flatMap((block) => (block.type === "text" ? [block.text] : [])).join("\n");
  return asVerdict(lastObject(text));
}

function asVerdict(value: unknown): Verdict | null {
  if (typeof value !== "object" || value === null) return null;
  const { result, explanation } = value as Record<string, unknown>;
  if (result !== "satisfied" && result !== "needs_revision" && result !== "failed") return null;
  const text = typeof explanation === "string" && explanation.trim() !== "" ? explanation.trim() : NO_EXPLANATION;
  return { result, explanation: clean(text.slice(0, MAX_EXPLANATION)) };
}

const NO_EXPLANATION = "The grader gave no explanation.";

/** The last JSON object in a text, with or without a code fence around it. */
function lastObject(text: string): unknown {
  const end = text.lastIndexOf("}");
  let start = end;
  for (let tries = 0; tries < MAX_BRACES && start > 0; tries++) {
    start = text.lastIndexOf("{", start - 1);
    if (start === -1) return null;
    try {
      return JSON.parse(text.slice(start, end + 1));
    } catch {
      // A brace inside the object: it begins further to the left.
    }
  }
  return null;
}
