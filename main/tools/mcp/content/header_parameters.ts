/**
 * `x-mcp-header` in tool schemas: arguments that 2026-07-28 sends as headers too. A tool that declares them wrongly must
 * not be offered: its headers could name other headers or differ from the body.
 */

const KEY = "x-mcp-header";
/** RFC 9110 §5.1. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const TYPES = ["string", "integer", "boolean"];
const MAX_DEPTH = 200;

/** What is wrong with the declarations of a tool's input schema, in words; null when nothing. */
export function headerFault(schema: unknown): string | null {
  const names = new Set<string>();
  const visit = (node: unknown, direct: boolean, depth: number): string | null => {
    if (typeof node !== "object" || node === null) return null;
    if (depth > MAX_DEPTH) return "its schema is nested too deeply";
    if (!Array.isArray(node) && Object.hasOwn(node, KEY)) {
      const fault = declarationFault(node as Record<string, unknown>, direct && depth > 0, names);
      if (fault !== null) return fault;
    }
    for (const [key, child] of Object.entries(node)) {
      const fault =
        key === "properties" && !Array.isArray(node) ? each(child, direct, depth) : visitOther(key, child, depth);
      if (fault !== null) return fault;
    }
    return null;
  };
  const each = (properties: unknown, direct: boolean, depth: number): string | null => {
    if (typeof properties !== "object" || properties === null) return null;
    for (const child of Object.values(properties)) {
      const fault = visit(child, direct, depth + 1);
      if (fault !== null) return fault;
    }
    return null;
  };
  const visitOther = (key: string, child: unknown, depth: number): string | null =>
    DATA.has(key) ? null : visit(child, false, depth + 1);
  return visit(schema, true, 0);
}

/** Keywords whose values are data, not schemas. */
const DATA = new Set(["default", "const", "enum", "examples", "example", "required", KEY]);

function declarationFault(node: Record<string, unknown>, direct: boolean, names: Set<string>): string | null {
  const name = node[KEY];
  if (!direct) return "an argument sent as a header must be a property, at any depth, of the schema itself";
  if (typeof name !== "string" || !TOKEN.test(name)) return "an argument names a header that HTTP does not allow";
  if (typeof node.type !== "string" || !TYPES.includes(node.type)) {
    return "an argument sent as a header must be a string, an integer or a boolean";
  }
  if (names.has(name.toLowerCase())) return "two arguments name the same header";
  names.add(name.toLowerCase());
  return null;
}
