/** Shapes of `tools` and `tool_choice`. */

import { cacheControl } from "./blocks.ts";
import { reject } from "./rejection.ts";
import { isServerToolType, serverTool } from "./server_tools.ts";
import {
  anything,
  boolean,
  type Check,
  fields,
  isObject,
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

const JSON_TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];

/** The parts of JSON Schema that a wrong tool definition usually gets wrong. */
const schema: Check = (value, path) => {
  if (typeof value === "boolean") return;
  const invalid = `${path}: JSON schema is invalid. It must match JSON Schema draft 2020-12`;
  if (!isObject(value)) reject(invalid);
  const { type, properties, required: names, items } = value;
  const types = Array.isArray(type) ? type : type === undefined ? [] : [type];
  if (types.some((item) => !JSON_TYPES.includes(String(item)))) reject(invalid);
  if (names !== undefined && !(Array.isArray(names) && names.every((name) => typeof name === "string")))
    reject(invalid);
  if (items !== undefined) schema(items, path);
  if (properties === undefined) return;
  if (!isObject(properties)) reject(invalid);
  for (const property of Object.values(properties)) schema(property, path);
};

const inputSchema: Check = (value, path) => {
  object(value, path);
  const root = value as Json;
  if (root.type === undefined) reject(`${path}.type: Field required`);
  oneOf("object")(root.type, `${path}.type`);
  if (["oneOf", "allOf", "anyOf"].some((key) => key in root)) {
    reject(`${path}: input_schema does not support oneOf, allOf, or anyOf at the top level`);
  }
  schema(value, path);
};

const customTool = fields({
  type: optional(nullable(oneOf("custom"))),
  name: required(pattern(/^[a-zA-Z0-9_-]{1,128}$/)),
  description: optional(string),
  input_schema: required(inputSchema),
  cache_control: optional(cacheControl),
  strict: optional(boolean),
  defer_loading: optional(boolean),
  eager_input_streaming: optional(nullable(boolean)),
  input_examples: optional(list(object)),
  allowed_callers: optional(list(string)),
});

/** Tools that the API itself defines, by the stem of their dated type. */
const BUILT_IN =
  /^(bash|text_editor|memory|code_execution|tool_search_tool_regex|tool_search_tool_bm25|browser|computer)_[0-9]{8}$/;

const tool: Check = (value, path) => {
  object(value, path);
  const { type } = value as Json;
  if (type === undefined || type === null || type === "custom") customTool(value, `${path}.custom`);
  else if (typeof type === "string" && isServerToolType(type)) serverTool(value, path);
  else if (typeof type !== "string" || !BUILT_IN.test(type))
    reject(`${path}: Input tag '${String(type)}' is not a known tool type`);
};

const choiceShape = tagged({
  auto: fields({ type: required(anything), disable_parallel_tool_use: optional(boolean) }),
  any: fields({ type: required(anything), disable_parallel_tool_use: optional(boolean) }),
  tool: fields({ type: required(anything), name: required(string), disable_parallel_tool_use: optional(boolean) }),
  none: fields({ type: required(anything) }),
});

export const tools: Check = (value, path) => {
  list(tool)(value, path);
  const names = (value as Json[]).map((item) => item.name).filter((name) => name !== undefined);
  if (new Set(names).size !== names.length) reject("tools: Tool names must be unique.");
};

export const toolChoice: Check = choiceShape;

/** Thinking and a forced tool exclude each other. */
export function checkForcedTool(request: Json): void {
  const choice = request.tool_choice as Json | undefined;
  const thinking = request.thinking as Json | undefined;
  if (choice?.type !== "tool" && choice?.type !== "any") return;
  if (thinking === undefined || thinking.type === "disabled") return;
  reject("Thinking may not be enabled when tool_choice forces tool use.");
}

/** `tool_choice` needs tools, and a named tool must be among them. */
export function checkToolChoice(request: Json): void {
  const choice = request.tool_choice as Json | undefined;
  if (choice === undefined) return;
  const defined = (request.tools as Json[] | undefined) ?? [];
  if (defined.length === 0) reject("tool_choice: tool_choice may only be specified while providing tools");
  if (choice.type === "tool" && !defined.some((item) => item.name === choice.name)) {
    reject(`tool_choice: Tool '${String(choice.name)}' not found in provided tools`);
  }
}
