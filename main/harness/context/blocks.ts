/** Content blocks as they stand in a request: JSON texts that every later request can carry unchanged. */
import type { ContentBlockParam, ToolResultBlockParam } from "@anthropic-ai/sdk/resources/messages/messages";
import type { EventOf } from "../../contract/events.ts";
import { fileSource } from "./files.ts";

type Content = EventOf<"user.message">["content"][number] | NonNullable<ResultContent>[number];
type ResultContent = EventOf<"user.custom_tool_result">["content"] | EventOf<"agent.tool_result">["content"];

/** Well-formed Unicode without NUL: one bad character would make every later request a permanent 400. */
export function clean(text: string): string {
  const formed = text.isWellFormed() ? text : text.toWellFormed();
  return formed.includes("\0") ? formed.replaceAll("\0", "\uFFFD") : formed;
}

/** {@link clean} for every string in a value; untouched, and so cheap, where nothing needs it. */
export function cleanJson<V>(value: V): V {
  const json = JSON.stringify(value);
  if (!json.includes("\\u0000") && !json.includes("\\ud")) return value;
  return JSON.parse(json, (_key, part: unknown) => (typeof part === "string" ? clean(part) : part)) as V;
}

export function block(content: ContentBlockParam): string {
  return JSON.stringify(content);
}

export function textBlock(text: string): string {
  return block({ type: "text", text: clean(text) });
}

/** Blocks of a message. Blank text, which the API refuses, is left out. */
export function messageBlocks(content: EventOf<"user.message">["content"]): string[] {
  const blocks: string[] = [];
  for (const part of content) {
    if (part.type === "redacted") continue;
    if (part.type !== "text") blocks.push(JSON.stringify(prepared(part)));
    else if (part.text.trim() !== "") blocks.push(textBlock(part.text));
  }
  return blocks.length > 0 ? blocks : [textBlock("(empty message)")];
}

/** The block that answers a call of the model. */
export function resultBlock(toolUseId: string, given: ResultContent, isError: boolean): string {
  const content: Content[] = (given ?? []).map((part) =>
    part.type === "text"
      ? { type: "text" as const, text: part.text.trim() === "" ? "(no output)" : clean(part.text) }
      : prepared(part),
  );
  // The API takes nothing but text in a result that is an error.
  const mixed = isError && content.some((part) => part.type !== "text");
  if (mixed) content.unshift({ type: "text", text: "[The tool reported an error.]" });
  const result: ToolResultBlockParam = {
    type: "tool_result",
    tool_use_id: toolUseId,
    content: content as NonNullable<Exclude<ToolResultBlockParam["content"], string>>,
  };
  if (content.length === 0) result.content = "(no output)";
  if (isError && !mixed) result.is_error = true;
  return JSON.stringify(result);
}

/** One key order for file sources, whatever the client sent: they are found by their bytes later. */
function prepared<B extends Content>(part: B): B {
  if ((part.type !== "image" && part.type !== "document") || part.source.type !== "file") return cleanJson(part);
  const { type, source, ...rest } = part;
  return cleanJson({ type, source: fileSource(source.file_id), ...rest } as unknown as B);
}
