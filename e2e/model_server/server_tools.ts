/** The tools that the API runs itself: from what the script says the web holds to the blocks of an answer. */
import type {
  ContentBlock,
  ServerToolUsage,
  WebFetchToolResultErrorCode,
  WebSearchToolResultErrorCode,
} from "@anthropic-ai/sdk/resources/messages/messages";
import { Rejection } from "./checks/rejection.ts";
import type { ReplyBlock, RequestBody } from "./script.ts";

type WebBlock = Extract<ReplyBlock, { type: "web_search" | "web_fetch" }>;
type Tool = Record<string, unknown>;

const direct = { type: "direct" as const };
const PDF = "application/pdf";

/** Runs the server tools of one answer, under the rules of the request's tools. */
export class ServerTools {
  readonly usage: ServerToolUsage = { web_search_requests: 0, web_fetch_requests: 0 };
  readonly #body: RequestBody;
  readonly #newId: (prefix: string) => string;
  readonly #uses = new Map<string, number>();

  constructor(body: RequestBody, newId: (prefix: string) => string) {
    this.#body = body;
    this.#newId = newId;
  }

  /** The call and its result; the call alone when the script leaves it pending. */
  run(block: WebBlock): ContentBlock[] {
    const tool = (this.#body.tools ?? []).find((item) => String(item.type).startsWith(`${block.type}_`));
    if (tool === undefined) {
      throw new Rejection(
        `model server: the script uses ${block.type}, the request does not offer it`,
        500,
        "api_error",
      );
    }
    const id = this.#newId("srvtoolu_");
    const input = block.type === "web_search" ? { query: block.query ?? "" } : { url: block.url };
    const call: ContentBlock = { type: "server_tool_use", id, name: block.type, input, caller: direct };
    if (block.pending === true) return [call];
    return [call, block.type === "web_search" ? this.#search(id, block, tool) : this.#fetch(id, block, tool)];
  }

  #over(tool: Tool): boolean {
    const name = String(tool.name);
    const uses = (this.#uses.get(name) ?? 0) + 1;
    this.#uses.set(name, uses);
    return typeof tool.max_uses === "number" && uses > tool.max_uses;
  }

  #search(id: string, block: Extract<WebBlock, { type: "web_search" }>, tool: Tool): ContentBlock {
    const failed = (error_code: WebSearchToolResultErrorCode): ContentBlock => ({
      type: "web_search_tool_result",
      tool_use_id: id,
      caller: direct,
      content: { type: "web_search_tool_result_error", error_code },
    });
    if (this.#over(tool)) return failed("max_uses_exceeded");
    if (block.error_code !== undefined) return failed(block.error_code);
    this.usage.web_search_requests += 1;
    const content = (block.results ?? [])
      .filter(({ url }) => allows(tool, url))
      .map(({ url, title, page_age }) => ({
        type: "web_search_result" as const,
        url,
        title,
        page_age: page_age ?? null,
        encrypted_content: Buffer.from(url).toString("base64"),
      }));
    return { type: "web_search_tool_result", tool_use_id: id, caller: direct, content };
  }

  #fetch(id: string, block: Extract<WebBlock, { type: "web_fetch" }>, tool: Tool): ContentBlock {
    const failed = (error_code: WebFetchToolResultErrorCode): ContentBlock => ({
      type: "web_fetch_tool_result",
      tool_use_id: id,
      caller: direct,
      content: { type: "web_fetch_tool_result_error", error_code },
    });
    if (this.#over(tool)) return failed("max_uses_exceeded");
    if (block.error_code !== undefined) return failed(block.error_code);
    if (!allows(tool, block.url)) return failed("url_not_allowed");
    if (!JSON.stringify(this.#body.messages).includes(block.url)) return failed("url_not_in_prior_context");
    this.usage.web_fetch_requests += 1;
    const limit = typeof tool.max_content_tokens === "number" ? tool.max_content_tokens * 4 : Number.POSITIVE_INFINITY;
    const source =
      block.pdf === undefined
        ? { type: "text" as const, media_type: "text/plain" as const, data: (block.text ?? "").slice(0, limit) }
        : { type: "base64" as const, media_type: PDF as typeof PDF, data: block.pdf };
    return {
      type: "web_fetch_tool_result",
      tool_use_id: id,
      caller: direct,
      content: {
        type: "web_fetch_result",
        url: block.redirected_to ?? block.url,
        retrieved_at: "2026-11-02T10:00:00Z",
        content: { type: "document", source, title: block.title ?? null, citations: null },
      },
    };
  }
}

function allows(tool: Tool, url: string): boolean {
  const { hostname } = new URL(url);
  const covered = (entry: string): boolean => {
    const host = entry.split("/")[0] ?? entry;
    return hostname === host || hostname.endsWith(`.${host}`);
  };
  const allowed = tool.allowed_domains as string[] | null | undefined;
  if (allowed != null) return allowed.some(covered);
  return !((tool.blocked_domains as string[] | null | undefined) ?? []).some(covered);
}
