/** What a server lists, page by page, and which of it can be used. A server may be broken or hostile: all is bounded. */
import type { Client, RequestOptions, Tool } from "@modelcontextprotocol/client";
import { z } from "zod";
import type { ListedTool, McpListing } from "../port.ts";
import { headerFault } from "./header_parameters.ts";
import { bounded, cleanText, oneLine } from "./text.ts";

const MAX_TOOLS = 256;
const MAX_PAGES = 64;
const MAX_NAME = 128;
const MAX_DESCRIPTION = 8_000;
const MAX_INSTRUCTIONS = 8_000;
/** UTF-16 units of a schema, and of all that is listed: a model reads all of it with each request. */
const MAX_SCHEMA = 64 * 1024;
const MAX_LISTING = 1024 * 1024;
const MAX_LEFT_OUT = 50;
const MAX_DEPTH = 64;

/** Of a page: what is wrong with single tools is said of them, and spoils no other. */
const page = z.looseObject({ tools: z.array(z.unknown()), nextCursor: z.string().optional() });

export interface Listed {
  listing: McpListing;
  /** By name, as calls need them: what to send as headers. */
  definitions: ReadonlyMap<string, Tool>;
}

/** Asks for all pages. Rejects as the library does. */
export async function listTools(client: Client, options: RequestOptions): Promise<Listed> {
  const collected = new Listing(client.getProtocolEra() === "modern");
  if (client.getServerCapabilities()?.tools !== undefined) {
    const seen = new Set<string>();
    let cursor: string | undefined;
    for (let number = 1; ; number += 1) {
      const params = cursor === undefined ? {} : { cursor };
      const { tools, nextCursor } = await client.request({ method: "tools/list", params }, page, options);
      for (const tool of tools) collected.add(tool);
      if (nextCursor === undefined) break;
      if (seen.has(nextCursor) || number === MAX_PAGES || collected.full) {
        collected.leaveOut("(further tools)", `only ${MAX_TOOLS} tools on ${MAX_PAGES} pages are read of a server`);
        break;
      }
      seen.add(nextCursor);
      cursor = nextCursor;
    }
  }
  return collected.done(client.getInstructions());
}

class Listing {
  readonly #headers: boolean;
  readonly #tools: ListedTool[] = [];
  readonly #definitions = new Map<string, Tool>();
  readonly #leftOut: McpListing["left_out"] = [];
  #size = 0;

  /** @param headers this protocol sends arguments as headers */
  constructor(headers: boolean) {
    this.#headers = headers;
  }

  get full(): boolean {
    return this.#tools.length >= MAX_TOOLS;
  }

  add(given: unknown): void {
    const tool = (typeof given === "object" && given !== null ? given : {}) as Record<string, unknown>;
    const name = typeof tool.name === "string" ? tool.name : "";
    const fault = this.#fault(name, tool);
    if (fault !== null) return this.leaveOut(name, fault);
    const input_schema = tool.inputSchema as Tool["inputSchema"];
    const hints = (tool.annotations ?? {}) as Record<string, unknown>;
    this.#tools.push({
      name,
      description: describe(tool),
      input_schema,
      read_only: hints.readOnlyHint === true,
      idempotent: hints.idempotentHint === true || hints.readOnlyHint === true,
    });
    this.#definitions.set(name, { name, inputSchema: input_schema });
  }

  leaveOut(name: string, reason: string): void {
    if (this.#leftOut.length < MAX_LEFT_OUT)
      this.#leftOut.push({ name: oneLine(name, MAX_NAME) || "(no name)", reason });
  }

  done(instructions: string | undefined): Listed {
    const said = bounded(cleanText(instructions ?? "").trim(), MAX_INSTRUCTIONS);
    return {
      listing: { instructions: said === "" ? null : said, tools: this.#tools, left_out: this.#leftOut },
      definitions: this.#definitions,
    };
  }

  #fault(name: string, tool: Record<string, unknown>): string | null {
    if (name === "" || name.length > MAX_NAME || name !== oneLine(name, MAX_NAME)) {
      return `its name is empty, longer than ${MAX_NAME} characters or not plain text`;
    }
    if (this.#definitions.has(name)) return "an earlier tool has the same name";
    if (this.full) return `a server may offer at most ${MAX_TOOLS} tools`;
    const execution = tool.execution as { taskSupport?: unknown } | undefined;
    if (execution?.taskSupport === "required") return "it can only be run as a background task of the protocol";
    const { inputSchema } = tool;
    if (
      typeof inputSchema !== "object" ||
      inputSchema === null ||
      (inputSchema as { type?: unknown }).type !== "object"
    ) {
      return "its input schema is not one of an object";
    }
    if (depthOf(inputSchema) > MAX_DEPTH) return `its input schema is nested more than ${MAX_DEPTH} deep`;
    const size = JSON.stringify(inputSchema).length;
    if (size > MAX_SCHEMA) return `its input schema is larger than ${MAX_SCHEMA} characters`;
    const total = this.#size + size + describe(tool).length;
    if (total > MAX_LISTING) return "what the server lists is too large altogether";
    const header = this.#headers ? headerFault(inputSchema) : null;
    if (header === null) this.#size = total;
    return header;
  }
}

function describe(tool: Record<string, unknown>): string {
  const text = [tool.description, tool.title].find((said) => typeof said === "string" && said.trim() !== "");
  return bounded(cleanText(typeof text === "string" ? text : "").trim(), MAX_DESCRIPTION);
}

/** Stops counting one beyond the limit, so that no nesting overflows the stack. */
function depthOf(value: unknown, depth = 0): number {
  if (typeof value !== "object" || value === null || depth > MAX_DEPTH) return depth;
  let deepest = depth;
  for (const child of Object.values(value)) deepest = Math.max(deepest, depthOf(child, depth + 1));
  return deepest;
}
