/** Shapes of content blocks in a request. */
import { reject } from "./rejection.ts";
import {
  anything,
  boolean,
  type Check,
  fields,
  type Json,
  list,
  nullable,
  object,
  oneOf,
  optional,
  pattern,
  required,
  string,
  tagged,
} from "./shape.ts";

const type = required(anything);
export const cacheControl = nullable(fields({ type: required(oneOf("ephemeral")), ttl: optional(oneOf("5m", "1h")) }));
const cache = { cache_control: optional(cacheControl) };

/** Text as the API wants it: never empty, never blank, and no NUL (some gateways cut the string there). */
export const text: Check = (value, path) => {
  string(value, path);
  const content = value as string;
  if (content === "") reject("messages: text content blocks must be non-empty");
  if (content.trim() === "") reject("messages: text content blocks must contain non-whitespace text");
  noNul(content, path);
};

export const noNul: Check = (value, path) => {
  if (typeof value === "string" && value.includes("\0")) reject(`${path}: String should not contain NUL characters`);
};

const plain: Check = (value, path) => {
  string(value, path);
  noNul(value, path);
};

export const textBlock = fields({ type, text: required(text), citations: optional(nullable(list(object))), ...cache });

const MAGIC: Record<string, string> = {
  "image/png": "89504e47",
  "image/jpeg": "ffd8ff",
  "image/gif": "47494638",
  "image/webp": "52494646",
};

const base64: Check = (value, path) => {
  string(value, path);
  const data = value as string;
  if (data === "" || data.length % 4 !== 0 || /[^A-Za-z0-9+/=]/.test(data)) {
    reject(`${path}: Input should be a valid base64 string`);
  }
};

const base64Image: Check = (value, path) => {
  const mediaTypes = Object.keys(MAGIC);
  fields({ type, media_type: required(oneOf(...mediaTypes)), data: required(base64) })(value, path);
  const { media_type, data } = value as { media_type: string; data: string };
  const bytes = Buffer.from(data, "base64");
  if (bytes.length > 5 * 1024 * 1024) {
    reject(`${path}.data: image exceeds 5 MB maximum: ${bytes.length} bytes > 5242880 bytes`);
  }
  if (!bytes.toString("hex", 0, 4).startsWith(MAGIC[media_type] ?? "")) {
    reject(`${path}.data: Image does not match the provided media type ${media_type}`);
  }
};

const url = fields({ type, url: required(pattern(/^https?:\/\/.+$/)) });
const file = fields({ type, file_id: required(string) });

export const imageBlock = fields({
  type,
  source: required(tagged({ base64: base64Image, url, file })),
  transformations: optional(nullable(object)),
  ...cache,
});

const contentSource = fields({
  type,
  content: required((value, path) => {
    if (typeof value !== "string") list(tagged({ text: textBlock, image: imageBlock }))(value, path);
  }),
});

export const documentBlock = fields({
  type,
  source: required(
    tagged({
      base64: fields({ type, media_type: required(oneOf("application/pdf")), data: required(base64) }),
      text: fields({ type, media_type: required(oneOf("text/plain")), data: required(plain) }),
      content: contentSource,
      url,
      file,
    }),
  ),
  citations: optional(nullable(fields({ enabled: optional(boolean) }))),
  context: optional(nullable(plain)),
  title: optional(nullable(plain)),
  ...cache,
});

const searchResultBlock = fields({
  type,
  source: required(plain),
  title: required(plain),
  content: required(list(tagged({ text: textBlock }))),
  citations: optional(fields({ enabled: optional(boolean) })),
  ...cache,
});

const toolUseId = pattern(/^[a-zA-Z0-9_-]+$/);
const caller = optional(fields({ type, tool_id: optional(string) }));
const toolset = optional(nullable(string));

const toolUseBlock: Check = (value, path) => {
  fields({
    type,
    id: required(toolUseId),
    name: required(pattern(/^[a-zA-Z0-9_-]{1,200}$/)),
    input: required(object),
    caller,
    toolset_name: toolset,
    ...cache,
  })(value, path);
  noNul(deepNul((value as Json).input), `${path}.input`);
};

/** A string with NUL when any string inside `value` has one. */
function deepNul(value: unknown): string {
  const json = JSON.stringify(value);
  return json.includes("\\u0000") ? "\0" : "";
}

const toolResultBlock: Check = (value, path) => {
  const inner = tagged({
    text: textBlock,
    image: imageBlock,
    document: documentBlock,
    search_result: searchResultBlock,
    tool_reference: fields({ type, tool_name: required(string), ...cache }),
  });
  fields({
    type,
    tool_use_id: required(toolUseId),
    content: optional((content, at) => {
      if (typeof content === "string") noNul(content, at);
      else list(inner)(content, at);
    }),
    is_error: optional(boolean),
    toolset_name: toolset,
    ...cache,
  })(value, path);
  const { content, is_error } = value as { content?: string | Json[]; is_error?: boolean };
  if (is_error === true && Array.isArray(content) && content.some((block) => block.type !== "text")) {
    reject(`${path}: all content must be type "text" if "is_error" is true`);
  }
};

const thinkingBlock = fields({ type, thinking: required(plain), signature: required(string) });
const redactedThinkingBlock = fields({ type, data: required(string) });

const serverToolUse = fields({
  type,
  id: required(string),
  name: required(string),
  input: required(object),
  caller,
  ...cache,
});
const serverToolResult = fields({ type, tool_use_id: required(string), content: required(anything), caller, ...cache });

/** Blocks a user message may hold. */
export const userBlock = tagged({
  text: textBlock,
  image: imageBlock,
  document: documentBlock,
  search_result: searchResultBlock,
  tool_result: toolResultBlock,
});

/** Blocks an assistant message may hold. */
export const assistantBlock = tagged({
  text: textBlock,
  tool_use: toolUseBlock,
  thinking: thinkingBlock,
  redacted_thinking: redactedThinkingBlock,
  server_tool_use: serverToolUse,
  web_search_tool_result: serverToolResult,
  web_fetch_tool_result: serverToolResult,
});
