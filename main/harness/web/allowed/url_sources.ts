/**
 * Which URLs `web_fetch` may fetch: those the conversation has already shown, in a user's message, a custom tool's
 * result, or an earlier web result, narrowed by the agent's `url_sources`. A URL that the model makes up could carry
 * what it has read in the sandbox to any server.
 */
import { domainToUnicode } from "node:url";
import type { LedgerEvent } from "../../../contract/events.ts";
import type { Ledger } from "../../../session/ledger.ts";
import { isWebTool } from "../definitions.ts";
import type { WebFetchConfig } from "../port.ts";

type UrlSources = WebFetchConfig["url_sources"];
type ToolFilter = NonNullable<UrlSources>["client_tool_results"];

export const MAX_URL_CHARS = 2048;
/** Places in a text after a host at which its URL may end: bounds what a hostile text can cost. */
const MAX_TRIES = 100;
const TYPES = [
  "user.message",
  "user.define_outcome",
  "user.custom_tool_result",
  "agent.custom_tool_use",
  "agent.tool_result",
  "agent.tool_use",
];

/**
 * True when a source that contributes has shown this URL. Reads the session backwards and stops at the first showing.
 * @param url a complete http(s) URL
 */
export async function wasShown(
  ledger: Pick<Ledger, "getEvents">,
  sessionId: string,
  url: string,
  sources: UrlSources,
): Promise<boolean> {
  const address = Address.of(url);
  if (address === null) return false;
  const search = new Showing(address, sources);
  for await (const stored of ledger.getEvents(sessionId, { types: TYPES, order: "desc" })) {
    if (search.take(stored.event)) return true;
  }
  return false;
}

class Showing {
  readonly #address: Address;
  readonly #sources: UrlSources;
  /** Calls whose result shows the URL. Their names are in events that come later, as reading goes backwards. */
  readonly #shownBy = new Map<string, "anywhere" | "first_block">();

  constructor(address: Address, sources: UrlSources) {
    this.#address = address;
    this.#sources = sources;
  }

  /** True when this event settles that the URL was shown. */
  take(event: LedgerEvent): boolean {
    const sources = this.#sources;
    switch (event.type) {
      case "user.message":
        return sources?.user_input?.type !== "none" && this.#shows(event.content);
      case "user.define_outcome":
        return sources?.user_input?.type !== "none" && this.#shows([event.description, event.rubric]);
      case "user.custom_tool_result":
        if (this.#shows(event.content)) this.#shownBy.set(event.custom_tool_use_id, "anywhere");
        return false;
      case "agent.tool_result":
        // An error repeats what the model asked for: that would let it show URLs to itself.
        if (event.is_error !== true && this.#shows(event.content)) {
          const first = this.#shows(event.content?.[0]);
          this.#shownBy.set(event.tool_use_id, first ? "first_block" : "anywhere");
        }
        return false;
      case "agent.custom_tool_use":
        return this.#shownBy.has(event.id) && contributes(event.name, sources?.client_tool_results ?? null);
      case "agent.tool_use": {
        // Of the built-in tools only the web ones contribute: a sandbox's output is anything the model wants it to be.
        // A search's list of results is its first block; the summary after it could repeat the model's own query.
        const where = this.#shownBy.get(event.id);
        const shown = event.name === "web_fetch" ? where !== undefined : where === "first_block";
        return isWebTool(event.name) && shown && contributes(event.name, sources?.server_tool_results ?? null);
      }
      default:
        return false;
    }
  }

  #shows(value: unknown): boolean {
    if (typeof value === "string") return this.#address.isIn(value);
    if (Array.isArray(value)) return value.some((item) => this.#shows(item));
    if (typeof value !== "object" || value === null) return false;
    const fields = value as Record<string, unknown>;
    if (fields["type"] === "base64") return false;
    return Object.values(fields).some((field) => this.#shows(field));
  }
}

/** A URL as it can be found in text, also where people leave out the scheme. */
class Address {
  readonly #key: string;
  readonly #host: RegExp;

  constructor(key: string, host: string) {
    this.#key = key;
    const names = [host, domainToUnicode(host)]
      .filter((name) => name !== "")
      .map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
    this.#host = new RegExp(`(?<![\\p{L}\\p{N}_.@-])(?:${names.join("|")})[^\\s<>"\`\\\\]{0,${MAX_URL_CHARS}}`, "giu");
  }

  /** Null for what is no http(s) URL. */
  static of(url: string): Address | null {
    const key = keyOf(url);
    return key === null ? null : new Address(key, new URL(url).hostname);
  }

  isIn(text: string): boolean {
    for (const [found] of text.matchAll(this.#host)) if (this.#is(found)) return true;
    return false;
  }

  /** Also without what may follow a URL in a sentence, in Markdown or in a list. */
  #is(found: string): boolean {
    if (keyOf(`https://${found}`) === this.#key) return true;
    let tries = 0;
    for (const { index } of found.matchAll(/[^\p{L}\p{N}/%=_~&-]/gu)) {
      if (keyOf(`https://${found.slice(0, index)}`) === this.#key) return true;
      tries += 1;
      if (tries === MAX_TRIES) return false;
    }
    return false;
  }
}

function contributes(tool: string, filter: ToolFilter): boolean {
  switch (filter?.type) {
    case "none":
      return false;
    case "only":
      return filter.tools.some((named) => named.name === tool);
    case "except":
      return !filter.tools.some((named) => named.name === tool);
    default:
      return true;
  }
}

/** What two spellings of one address share: no scheme, no fragment, no slash at the end. Null for what is no address. */
function keyOf(url: string): string | null {
  const parsed = URL.parse(url);
  if (parsed === null) return null;
  const { host, pathname, search, protocol } = parsed;
  if (protocol !== "https:" && protocol !== "http:") return null;
  return `${host}${pathname.replace(/\/$/, "")}${search}`;
}
