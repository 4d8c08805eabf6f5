/** Which models take system messages in the middle of a conversation. */

/**
 * How a model takes `system.message` events.
 * `role`: as `role: "system"` messages in the conversation. `refused`: the API is known to refuse these for this model, so
 * the event is refused. `text`: nothing is known of the model or of who serves it, so the text goes into the user's turn,
 * marked as the operator's: endpoints other than Anthropic's know no such role.
 */
export function systemMessageSupport(model: string): "role" | "text" | "refused" {
  // With a provider's prefix (`anthropic/claude-…`, `us.anthropic.claude-…`) it is served elsewhere.
  if (!model.startsWith("claude-")) return "text";
  return WITHOUT_SYSTEM_MESSAGES.test(model) ? "refused" : "role";
}

/** Everything before Claude Opus 4.8. Models that come later take them. */
const WITHOUT_SYSTEM_MESSAGES =
  /^claude-(?:instant|[123](?![0-9])|mythos-preview|(?:sonnet|haiku)-4(?![0-9])|opus-4(?!-(?:[89]|[1-9][0-9])(?![0-9])))/;
