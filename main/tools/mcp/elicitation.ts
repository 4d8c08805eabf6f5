/** What servers ask of the person during a call. Nobody sits there: only what the server itself would fill in is given. */
import type { ElicitRequestParams, ElicitResult } from "@modelcontextprotocol/client";

/**
 * A form in which every field has a default is accepted with these, for the server learns nothing from it; anything else
 * is declined.
 * @param params.mode a `url` that a person must visit is declined too
 */
export function answerElicitation(params: ElicitRequestParams): ElicitResult {
  if (params.mode === "url") return { action: "decline" };
  const fields = Object.entries(params.requestedSchema.properties);
  const content: NonNullable<ElicitResult["content"]> = {};
  for (const [name, field] of fields) {
    const value = "default" in field ? field.default : undefined;
    if (value === undefined) return { action: "decline" };
    content[name] = value;
  }
  return fields.length === 0 ? { action: "decline" } : { action: "accept", content };
}

/** What the call's progress says of it. */
export function elicitationText(params: ElicitRequestParams, result: ElicitResult): string {
  const answer =
    result.action === "accept" ? "its own defaults were given back" : "declined, for nobody is here to answer";
  return `The server asks: ${params.message} (${answer})`;
}
