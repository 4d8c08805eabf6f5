/** Types of the contract that a later version takes are refused with a text that says so. */
import { invalid } from "../../../contract/errors.ts";
import { LATER_EVENTS } from "../../../contract/schemas/events.ts";

/** Looks at `body[field][].type` before the schema does: "unknown type" would be a lie about the contract. */
export function refuseLaterTypes(body: unknown, field: string, later: readonly string[] = LATER_EVENTS): void {
  const items = typeof body === "object" && body !== null ? (body as Record<string, unknown>)[field] : undefined;
  if (!Array.isArray(items)) return;
  for (const [index, item] of items.entries()) {
    const type: unknown =
      typeof item === "object" && item !== null ? (item as Record<string, unknown>)["type"] : undefined;
    if (typeof type === "string" && later.includes(type)) {
      invalid(`\`${field}[${index}].type\`: ${JSON.stringify(type)} is not supported by this version of Longhaul yet.`);
    }
  }
}
