/** MCP servers without a network: tests say what they list and how they answer. */
import {
  type ListedTool,
  type McpCall,
  McpError,
  type McpListing,
  type McpResult,
  type McpServerRef,
  type McpTools,
} from "../mcp/port.ts";

export interface ScriptedServer {
  tools?: Partial<ListedTool>[];
  instructions?: string | null;
  /** Thrown by listings while it is set. */
  away?: McpError | null;
  answer?: (call: McpCall, signal: AbortSignal, onProgress: (text: string) => void) => Promise<McpResult> | McpResult;
}

export class ScriptedMcp implements McpTools {
  /** By name; a server that is not here is away. */
  readonly servers = new Map<string, ScriptedServer>();
  readonly calls: McpCall[] = [];
  readonly changed = new Set<string>();
  listings = 0;

  list(_sessionId: string, server: McpServerRef): Promise<McpListing> {
    this.listings += 1;
    const script = this.servers.get(server.name);
    if (script === undefined) return Promise.reject(new McpError("connection", "no", `${server.name} is away.`));
    if (script.away) return Promise.reject(script.away);
    this.changed.delete(server.name);
    return Promise.resolve({
      instructions: script.instructions ?? null,
      tools: (script.tools ?? []).map(listedTool),
      left_out: [],
    });
  }

  hasChanged(_sessionId: string, server: McpServerRef): boolean {
    return this.changed.has(server.name);
  }

  async call(call: McpCall, signal: AbortSignal, onProgress: (text: string) => void): Promise<McpResult> {
    this.calls.push(call);
    const answer = this.servers.get(call.server.name)?.answer;
    if (answer === undefined) throw new McpError("connection", "no", `${call.server.name} is away.`);
    return answer(call, signal, onProgress);
  }

  dropped = 0;

  drop(): void {
    this.dropped += 1;
  }

  dropConnections(): void {
    this.dropped += 1;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

function listedTool(tool: Partial<ListedTool>): ListedTool {
  return {
    name: "tool",
    description: "Does something.",
    input_schema: { type: "object", properties: {} },
    read_only: false,
    idempotent: false,
    ...tool,
  };
}

/** A result of text. */
export function textResult(text: string, is_error = false): McpResult {
  return { content: [{ type: "text", text }], is_error };
}
