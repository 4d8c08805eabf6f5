import type { ListedTool } from "../../main/tools/mcp/port.ts";

interface Schema {
  type?: string;
  default?: unknown;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  required?: string[];
}

/**
 * Arguments that a tool takes: a value for each property that it requires.
 * @param tools all that the server lists: a tool that takes a `schema` is given one of another's, as the suite documents
 */
export function argumentsFor(tool: ListedTool, tools: readonly ListedTool[]): Record<string, unknown> {
  const { properties = {}, required = [] } = tool.input_schema as Schema;
  const other = tools.find(({ name }) => name !== tool.name);
  return Object.fromEntries(
    required.map((name) => [
      name,
      name === "schema" && other !== undefined ? other.input_schema : valueFor(properties[name] ?? {}),
    ]),
  );
}

function valueFor(schema: Schema): unknown {
  if (schema.default !== undefined) return schema.default;
  if (schema.enum !== undefined) return schema.enum[0];
  switch (schema.type) {
    case "number":
    case "integer":
      return 5;
    case "boolean":
      return true;
    case "array":
      return [];
    case "object":
      return Object.fromEntries(
        (schema.required ?? []).map((name) => [name, valueFor(schema.properties?.[name] ?? {})]),
      );
    default:
      return "text";
  }
}
