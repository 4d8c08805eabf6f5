/** The exact bytes of a Messages request: a pure function of the session's fold and transcript. */
import { createHash } from "node:crypto";
import { systemMessageSupport } from "../../contract/model/system_messages.ts";
import type { ChildThread } from "../../contract/threads/state.ts";
import type { ThreadFold } from "../../contract/threads/view.ts";
import { McpToolbox } from "../mcp/toolbox.ts";
import { offeredTools } from "../permissions.ts";
import { memoryLines } from "./memory_lines.ts";
import { skillLines } from "./skill_lines.ts";
import type { Transcript } from "./transcript.ts";
import { usedTools } from "./used_tools.ts";

export interface BuiltRequest {
  /** JSON body, `stream: true` included; uploaded files are still named by their ids. */
  body: string;
  message_count: number;
  tool_count: number;
}

export interface RequestOptions {
  kind: "turn" | "compaction";
  /** Shorten long tool results: only for a compaction request of a history that no longer fits. */
  shortened: boolean;
}

/** Output limit of one answer. Longer ones are continued (`longhaul.continuation`). */
const MAX_TOKENS = 32_000;
const SHORTENED_RESULT_CHARS = 2_000;

/** What a worker's machine looks like is not known here; it collects no outputs. */
const SELF_HOSTED_PLACE =
  "Your tools run on a machine of the user's own, in the working directory of its worker. Relative paths begin there.";

const COMPACTION_INSTRUCTION =
  "The context is nearly full. Write a summary that lets you go on with this task without the conversation above: the " +
  "task and every instruction of the user word for word where it matters, decisions and their reasons, what was done, " +
  "the state of files and commands (with paths), what failed and why, what is left and the very next step. Call no " +
  "tool. Answer with the summary only.";

/**
 * Builds the request in the order in which prompts are cached: tools, system, messages. Keys are in a fixed order and
 * nothing depends on time or on this process, so a rebuilt request has the bytes of the one that was sent.
 */
export function buildRequest(
  fold: ThreadFold,
  transcript: Transcript,
  options: RequestOptions,
  mcp = McpToolbox.EMPTY,
): BuiltRequest {
  const compaction = options.kind === "compaction";
  const systemRole = systemMessageSupport(fold.agent.model.id) === "role";
  const messages = transcript.messages(compaction ? COMPACTION_INSTRUCTION : undefined, systemRole);
  const offered = offeredTools(fold, mcp);
  const tools = offered.length > 0 ? offered : usedTools(messages);
  const parts = [`{"model":${JSON.stringify(fold.agent.model.id)}`, `"max_tokens":${MAX_TOKENS}`, `"stream":true`];
  // Top-level cache control marks the last block of each request without changing the bytes of any block.
  parts.push(`"cache_control":{"type":"ephemeral"}`);
  const { effort, inference_geo, speed } = fold.agent.model;
  // Only what was chosen is sent: endpoints of other makers know none of these.
  if (inference_geo !== undefined) parts.push(`"inference_geo":${JSON.stringify(inference_geo)}`);
  if (speed === "fast") parts.push(`"speed":"fast"`);
  if (effort !== undefined) parts.push(`"output_config":${JSON.stringify({ effort: effort.type })}`);
  if (tools.length > 0) parts.push(`"tools":${JSON.stringify(tools)}`);
  if (tools.length > 0 && (compaction || offered.length === 0)) parts.push(`"tool_choice":{"type":"none"}`);
  parts.push(`"system":${JSON.stringify(systemBlocks(fold, mcp))}`);
  parts.push(`"messages":[${(options.shortened ? messages.map(shorten) : messages).join(",")}]`);
  const body = `${parts.join(",")}}`;
  return {
    body,
    message_count: messages.length,
    tool_count: tools.length,
  };
}

/** Lower-case hex SHA-256 of a body as it is sent. */
export function bodyHash(body: string): string {
  return createHash("sha256").update(body).digest("hex");
}

/** The agent's own prompt, then what the harness knows about the place; the fixed cache breakpoint is at the end. */
function systemBlocks(
  fold: ThreadFold,
  mcp: McpToolbox,
): { type: "text"; text: string; cache_control?: { type: "ephemeral" } }[] {
  const selfHosted = fold.environment.config.type === "self_hosted";
  const place = [
    selfHosted
      ? SELF_HOSTED_PLACE
      : "You work in a sandbox. Your working directory is /workspace; files you want to hand over go to /mnt/session/outputs.",
  ];
  for (const resource of fold.resources) {
    if (resource.type === "file") place.push(`An uploaded file is at ${resource.mount_path} (read-only).`);
    if (resource.type === "local_repository")
      place.push(`A copy of the user's repository is at ${resource.mount_path}.`);
  }
  place.push(...skillLines(fold));
  place.push(...memoryLines(fold.resources));
  place.push(...serverLines(fold, mcp));
  if (fold.child !== null) place.push(...threadLines(fold.child, fold.primary_thread_id));
  const text = { type: "text" as const, text: place.join("\n"), cache_control: { type: "ephemeral" as const } };
  const { system } = fold.agent;
  return system === null || system.trim() === "" ? [text] : [{ type: "text", text: system }, text];
}

/** What MCP servers say of their use. They are no part of this product, and the model is told so. */
function serverLines({ agent }: ThreadFold, mcp: McpToolbox): string[] {
  return agent.mcp_servers.flatMap((server) => {
    const instructions = mcp.listing(server)?.instructions ?? null;
    if (instructions === null) return [];
    return [`The MCP server ${JSON.stringify(server.name)} says of its tools:`, instructions];
  });
}

/** What a spawned thread must know of its place; nothing here ever changes. */
function threadLines(child: ChildThread, primary: string): string[] {
  const lines = [
    `You are the agent "${child.name}" in thread ${child.id} of a session whose primary thread is ${primary}.`,
    "Another agent gave you your task, not the user. Your final message of the turn goes back to it: make it complete.",
  ];
  return child.agent.type === "advisor" ? [ADVISOR] : lines;
}

const ADVISOR =
  "You advise another agent in the middle of its work. You see only what it writes and have no tools. Give your best " +
  "judgement, with reasons, in a form it can act on.";

interface ParsedContent {
  type: string;
  text?: string;
  source?: { type: string; data?: string };
}

interface ParsedMessage {
  role: string;
  content: { type: string; content?: string | ParsedContent[] }[];
}

function shorten(json: string): string {
  if (json.length <= SHORTENED_RESULT_CHARS) return json;
  const message = JSON.parse(json) as ParsedMessage;
  for (const part of message.content) {
    if (part.type !== "tool_result") continue;
    if (typeof part.content === "string") part.content = cut(part.content);
    else if (part.content !== undefined) part.content = part.content.map(shortenContent);
  }
  return JSON.stringify(message);
}

function shortenContent(inner: ParsedContent): ParsedContent {
  if (inner.text !== undefined) return { ...inner, text: cut(inner.text) };
  const { data } = inner.source ?? {};
  if (data === undefined || data.length <= SHORTENED_RESULT_CHARS) return inner;
  if (inner.source?.type === "text") return { ...inner, source: { ...inner.source, data: cut(data) } };
  // Half of a PDF or an image is none.
  return { type: "text", text: `[${inner.type} of ${data.length} characters left out]` };
}

function cut(text: string): string {
  if (text.length <= SHORTENED_RESULT_CHARS) return text;
  const half = SHORTENED_RESULT_CHARS / 2;
  return `${text.slice(0, half)}\n[… ${text.length - 2 * half} characters left out …]\n${text.slice(-half)}`.toWellFormed();
}
