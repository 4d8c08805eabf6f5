/** What the session's model is told when a web tool fails: the API's code where there is one, and what to do. */
import type { ModelError } from "../../model.ts";
import type { WebToolName } from "../definitions.ts";

const CODES: Record<string, string> = {
  invalid_tool_input: "the endpoint could not read the input. Check it and try again.",
  unavailable: "the endpoint's tool is not available right now. Try again later or go on without it.",
  too_many_requests: "the endpoint's tool is used too often right now. Try again later or go on without it.",
  max_uses_exceeded: "the endpoint allows no further use. Go on without it.",
  query_too_long: "the query is too long. Shorten it.",
  request_too_large: "the request is too large. Shorten the query.",
  url_too_long: "the URL is too long for the endpoint. Look for a shorter one.",
  url_not_allowed:
    "this session's settings, or the endpoint's, do not allow fetching from this site. Do not try it another way.",
  url_not_in_prior_context:
    "only a URL that the conversation has already shown may be fetched (in a user's message, a custom tool's result, or " +
    "an earlier web_search or web_fetch result, as far as this agent's settings count them). Find it with web_search " +
    "first, or ask the user for it.",
  url_not_accessible: "the page could not be fetched: it does not exist, needs a login, or refuses to be read.",
  unsupported_content_type: "only web pages, text and PDF files can be fetched.",
  content_too_large: "the page is too large to be fetched.",
};

export function codeText(tool: WebToolName, code: string): string {
  return `${code}: ${CODES[code] ?? `${tool} failed at the endpoint.`}`;
}

/** The demo answers where no endpoint is set up. */
export const NO_ENDPOINT_TEXT =
  "No model endpoint is set up, so there is no web access: the built-in demo model has none. Go on without it and tell " +
  "the user to enter a model endpoint under Settings.";

const NAMES: Record<WebToolName, string> = { web_search: "web search", web_fetch: "web fetch" };

/** The endpoint lacks the tool. */
export function missingText(tool: WebToolName, detail: string): string {
  const said = detail.length > 500 ? `${detail.slice(0, 499).toWellFormed()}…` : detail;
  return (
    `This session's model endpoint offers no ${NAMES[tool]}, so ${tool} cannot work here; calling it again will not ` +
    `help. Go on without it, and tell the user if that matters: an endpoint with Anthropic's ${NAMES[tool]} tool is ` +
    `needed, or a custom tool or MCP server that does the same. What the endpoint said: ${said}`
  );
}

/** A request that failed on its way or was refused. */
export function failureText(tool: WebToolName, failure: ModelError): string {
  const reason = failure.message.slice(0, 500).toWellFormed();
  switch (failure.kind) {
    case "offline":
      return `${tool} failed: there is no network connection to the model endpoint. Try again later or go on without it.`;
    case "locked":
      return `${tool} failed: the key of the model endpoint is out of reach (${reason}). Try again later or go on without it.`;
    case "overloaded":
    case "rate_limited":
      return `${tool} failed: the model endpoint is busy (${reason}). Try again later or go on without it.`;
    case "failed":
      return `${tool} failed: ${reason} Try again or go on without it.`;
    default:
      return `${tool} failed: the model endpoint refused the request. ${reason}`;
  }
}
