/** What a failed web request says about its endpoint. */
import type { ModelError, ModelErrorKind } from "../../model.ts";

const TRANSIENT = new Set<ModelErrorKind>(["offline", "overloaded", "rate_limited", "failed"]);

/** True when the same request may work in a moment. */
export function isTransient(failure: ModelError): boolean {
  return TRANSIENT.has(failure.kind);
}

/** Thinking that cannot be turned off, and some compatible endpoints, do not go with a forced tool. */
export function cannotForce(failure: ModelError): boolean {
  // A named tool that is "not found" was dropped by an endpoint that does not know it: that is another finding.
  return (
    failure.kind === "rejected" &&
    /tool_choice|forces? tool use/i.test(failure.message) &&
    !/not found/i.test(failure.message)
  );
}

/** A word of the agent's settings in the refusal: then they are what the endpoint does not like, not its tool. */
const SETTINGS = /domain|user_location|country|timezone|max_content_tokens|max_uses/i;

/**
 * True when the endpoint refused the request because it has no such tool. The session's own requests pass there, and
 * the one thing that is different in this one is the tool.
 */
export function isMissing(failure: ModelError): boolean {
  if (failure.kind !== "rejected" || ![400, 404, 422, 501].includes(failure.status ?? 0)) return false;
  if (SETTINGS.test(failure.message)) return false;
  return /web[_ -]?(search|fetch)|tool|input_schema/i.test(failure.message);
}
