/** What the harness knows of MCP servers: what they offer, and calls of their tools. */
import type { BetaManagedAgentsAgentMCPToolResultEvent } from "@anthropic-ai/sdk/resources/beta/sessions/events";

/** A server as the agent has it. */
export interface McpServerRef {
  name: string;
  url: string;
}

export interface ListedTool {
  /** The server's own name of it; unique in a listing. */
  name: string;
  /** Well-formed text, cut where it is very long; empty when the server says nothing. */
  description: string;
  /** A JSON schema of type object, as the server sent it: references in it were not followed. */
  input_schema: Record<string, unknown>;
  /** Hints of an untrusted party. */
  read_only: boolean;
  idempotent: boolean;
}

export interface McpListing {
  /** What the server says of its use; null when nothing. */
  instructions: string | null;
  /** In the server's order; at most 256. */
  tools: ListedTool[];
  /** Tools that cannot be used, in words for people. Long lists are cut. */
  left_out: { name: string; reason: string }[];
}

export interface McpCall {
  session_id: string;
  server: McpServerRef;
  /** The server's own name of the tool. */
  tool: string;
  input: Record<string, unknown>;
  /** Names the call to the server (`_meta`), so that one that knows it can tell a repetition. */
  tool_use_id: string;
}

/** A block of `agent.mcp_tool_result`. */
export type ResultContent = NonNullable<BetaManagedAgentsAgentMCPToolResultEvent["content"]>[number];

export interface McpResult {
  /** Never empty. Images and documents are inline; what the model cannot see is told in text. Bounded. */
  content: ResultContent[];
  is_error: boolean;
  /** All of the text where `content` holds only its beginning; absent when that is all there is. */
  whole?: string;
}

export interface McpTools {
  /**
   * What the server offers; cached until the server says that its tools changed, the connection is lost, or `fresh`.
   * Rejects with {@link McpError}, or an AbortError when stopped.
   */
  list(sessionId: string, server: McpServerRef, signal: AbortSignal, fresh?: boolean): Promise<McpListing>;
  /** True when the server has said since the last list that its tools changed; false when nothing was listed. */
  hasChanged(sessionId: string, server: McpServerRef): boolean;
  /**
   * Calls a tool; a result with `is_error` is the tool's own. When stopped, the server is told and the promise rejects
   * with an AbortError at once. Rejects with {@link McpError} otherwise.
   * @param onProgress one line for each progress notification or log message of the server; bounded in rate and length
   */
  call(call: McpCall, signal: AbortSignal, onProgress: (text: string) => void): Promise<McpResult>;
  /** Ends the session's connections: it is archived, or its agents or vaults changed. Calls in flight fail. */
  drop(sessionId: string): void;
  /** After sleep or a change of the network: what is open is not to be trusted. Calls in flight fail. */
  dropConnections(): void;
  /** Ends everything. Idempotent; later calls reject. */
  close(): Promise<void>;
}

/**
 * `connection`: the server cannot be reached or does not answer; `authentication`: it refuses the credential or wants
 * one, so a person must sign in; `locked`: the keychain is locked or the broker is away, which waits and passes;
 * `protocol`: it answers with something that is not MCP, or refuses the request.
 */
export type McpErrorKind = "connection" | "authentication" | "locked" | "protocol";

export class McpError extends Error {
  override readonly name = "McpError";
  readonly kind: McpErrorKind;
  /** Whether the call may have taken effect at the server. */
  readonly sent: "no" | "maybe";

  /** @param message what happened and what to do next; never a secret */
  constructor(kind: McpErrorKind, sent: "no" | "maybe", message: string) {
    super(message);
    this.kind = kind;
    this.sent = sent;
  }
}
