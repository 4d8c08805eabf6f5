/** The one argument of a web tool, checked before anything is sent. */
import type { Ledger } from "../../../session/ledger.ts";
import { clean } from "../../context/transcript.ts";
import { codeText } from "../endpoint/failures.ts";
import { type WebCall, webConfig } from "../port.ts";
import { permitted } from "./domains.ts";
import { MAX_URL_CHARS, wasShown } from "./url_sources.ts";

const MAX_QUERY_CHARS = 1_000;

/** The call is refused here; its message is for the session's model. */
export class Refused extends Error {
  override readonly name = "Refused";
}

/**
 * The query or the URL.
 * @throws Refused when it is missing or malformed, or when the agent's settings do not permit it
 */
export async function checkedArgument(call: WebCall, ledger: Pick<Ledger, "getEvents">): Promise<string> {
  const fields = typeof call.input === "object" && call.input !== null ? (call.input as Record<string, unknown>) : {};
  return call.tool === "web_search" ? checkedQuery(fields["query"]) : checkedUrl(call, fields["url"], ledger);
}

function checkedQuery(value: unknown): string {
  const query = typeof value === "string" ? clean(value).trim() : "";
  if (query === "") throw new Refused('invalid_tool_input: web_search needs {"query": "what to search for"}.');
  if (query.length > MAX_QUERY_CHARS) {
    throw new Refused(
      `query_too_long: the query has ${query.length} characters; at most ${MAX_QUERY_CHARS} are allowed.`,
    );
  }
  return query;
}

async function checkedUrl(call: WebCall, value: unknown, ledger: Pick<Ledger, "getEvents">): Promise<string> {
  const url = typeof value === "string" ? value.trim() : "";
  const parsed = URL.parse(url);
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw new Refused('invalid_tool_input: web_fetch needs {"url": "https://…"}, a complete http or https URL.');
  }
  if (url.length > MAX_URL_CHARS) {
    throw new Refused(`url_too_long: the URL has ${url.length} characters; at most ${MAX_URL_CHARS} are allowed.`);
  }
  if (parsed.username !== "" || parsed.password !== "") {
    throw new Refused("url_not_allowed: a URL with a user name or password is not fetched.");
  }
  const config = webConfig(call.agent, "web_fetch");
  if (!permitted(url, config))
    throw new Refused(`${codeText("web_fetch", "url_not_allowed")} Host: ${parsed.hostname}.`);
  if (!(await wasShown(ledger, call.session_id, url, config?.url_sources ?? null))) {
    throw new Refused(codeText("web_fetch", "url_not_in_prior_context"));
  }
  return url;
}
