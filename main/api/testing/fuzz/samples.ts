/** Values made from the types of the SDK's parameters: right in form, and where it can be known, in meaning. */
import type { Shape } from "../contract/sdk_types.ts";
import type { Random } from "./random.ts";

/** Ids of what exists, by the name of the field that takes them. */
export type Known = Readonly<Record<string, string>>;

const MAX_DEPTH = 8;

export class Samples {
  readonly #random: Random;
  readonly #known: Known;
  #count = 0;

  constructor(random: Random, known: Known) {
    this.#random = random;
    this.#known = known;
  }

  /** @param field name of the field that holds the value */
  of(shape: Shape, field = "", depth = 0): unknown {
    const random = this.#random;
    switch (shape.kind) {
      case "any":
        return random.pick<unknown>([{ type: "object" }, "x", {}]);
      case "never":
      case "null":
        return null;
      case "boolean":
        return random.chance(0.5);
      case "number":
        return this.#number(field);
      case "string":
        return this.#text(field);
      case "literal":
        return shape.value;
      case "array":
        return Array.from({ length: random.below(depth > MAX_DEPTH ? 1 : 3) }, () =>
          this.of(shape.of(), field, depth + 1),
        );
      case "union":
        return this.of(random.pick(this.#usable(shape.of, field)), field, depth + 1);
      case "object":
        return this.#object(shape, depth);
    }
  }

  #object(shape: Extract<Shape, { kind: "object" }>, depth: number): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    for (const [name, member] of shape.members) {
      if (name === "betas" || name === "workspace_id") continue;
      if (member.optional && !this.#random.chance(depth > MAX_DEPTH ? 0 : 0.3)) continue;
      value[name] = this.of(member.shape(), name, depth + 1);
    }
    if (shape.index !== null && value["type"] === undefined) {
      for (let at = this.#random.below(3); at > 0; at -= 1)
        value[`key_${at}`] = this.of(shape.index(), `key_${at}`, depth + 1);
    }
    return value;
  }

  /** An id that exists is better than an object that names one: it gets further. */
  #usable(of: readonly Shape[], field: string): readonly Shape[] {
    const texts = of.filter(({ kind }) => kind === "string");
    return texts.length > 0 && this.#known[field] !== undefined ? texts : of;
  }

  #number(field: string): number {
    if (field.includes("block_ms")) return 1;
    if (field.includes("seconds")) return 3600;
    return this.#random.pick([1, 1, 2, 20]);
  }

  #text(field: string): string {
    const known = this.#known[field];
    if (known !== undefined && this.#random.chance(0.9)) return known;
    this.#count += 1;
    if (/_at(\[|$)|^created_at/.test(field)) return "2026-01-01T00:00:00Z";
    if (field === "path" || field === "mount_path" || field === "file_path") return `/p${this.#count}`;
    if (field.includes("url") || field.includes("endpoint")) return `https://example.com/${this.#count}`;
    if (field === "expression") return "0 3 * * *";
    if (field === "timezone") return "Europe/Berlin";
    if (field === "amount") return "100";
    if (field === "data") return "aGVsbG8=";
    if (field === "media_type") return "image/png";
    if (field === "page") return "eyJhIjoxfQ";
    if (field.includes("hosts")) return "example.com";
    return `${field} ${this.#count}`.trim().replaceAll(" ", "_");
  }
}
