/** The types of one installed version of the official SDK, looked up by module and name, and expanded for checking. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import {
  type Declaration,
  type DeclarationFile,
  type Member,
  readDeclarations,
  type TypeNode,
} from "./declarations.ts";

/** A declaration with the file that its own references are looked up in. */
interface Found {
  file: string;
  name: string;
  declaration: Declaration;
}

/** What a type means for a JSON value; references are already followed. */
export type Shape =
  | { kind: "any" }
  | { kind: "never" }
  | { kind: "null" }
  | { kind: "string" | "number" | "boolean" }
  | { kind: "literal"; value: string | number | boolean }
  | { kind: "array"; of: () => Shape }
  | { kind: "object"; name: string; members: ReadonlyMap<string, ShapeMember>; index: (() => Shape) | null }
  /** Nested unions are flattened. `name` is that of the alias, "" for one without. */
  | { kind: "union"; name: string; of: readonly Shape[] };

export interface ShapeMember {
  optional: boolean;
  shape: () => Shape;
}

export interface TypeAt {
  file: string;
  type: TypeNode;
}

/** Types that mean something to the client only; a body never has them as JSON. */
const CLIENT_ONLY = new Set(["Uploadable", "Response", "AbortSignal", "Date", "Blob", "Uint8Array"]);

export class SdkTypes {
  readonly root: string;
  readonly #files = new Map<string, DeclarationFile>();
  readonly #shapes = new Map<string, Shape>();

  /** @param root folder of the package, for example `node_modules/@anthropic-ai/sdk` */
  constructor(root: string) {
    this.root = root;
  }

  /** The declaration that `name` means in `file` (path from the package's root). @throws Error when there is none */
  find(file: string, path: readonly string[]): Found {
    const found = this.#lookUp(file, path);
    if (found === null) throw new Error(`${file}: the type ${path.join(".")} is not declared`);
    return found;
  }

  /** The shape of an exported type. @throws Error for an unknown one */
  shape(file: string, name: string): Shape {
    return this.shapeOf({ file, type: { kind: "reference", path: [name], args: [] } });
  }

  /** The shape of any type written in `file`. */
  shapeOf({ file, type }: TypeAt, generics: ReadonlyMap<string, () => Shape> = new Map()): Shape {
    switch (type.kind) {
      case "keyword":
        return keywordShape(type.name);
      case "literal":
        return type;
      case "opaque":
        return { kind: "any" };
      case "array":
        return { kind: "array", of: lazy(() => this.shapeOf({ file, type: type.of }, generics)) };
      case "object":
        return { kind: "object", name: "", ...this.#members(file, type, generics) };
      case "union":
        return flattened(
          "",
          type.of.map((part) => this.shapeOf({ file, type: part }, generics)),
        );
      case "intersection":
        return joined(type.of.map((part) => this.shapeOf({ file, type: part }, generics)));
      case "reference":
        return this.#reference(file, type, generics);
    }
  }

  #reference(
    file: string,
    type: Extract<TypeNode, { kind: "reference" }>,
    generics: ReadonlyMap<string, () => Shape>,
  ): Shape {
    const [first = ""] = type.path;
    const bound = generics.get(first);
    if (bound !== undefined) return bound();
    if (CLIENT_ONLY.has(first)) return { kind: "any" };
    const found = this.find(file, type.path);
    const args = type.args.map((arg) => lazy(() => this.shapeOf({ file, type: arg }, generics)));
    if (args.length > 0) return this.#expand(found, args);
    const key = `${found.file}#${found.name}`;
    const known = this.#shapes.get(key);
    if (known !== undefined) return known;
    const shape = this.#expand(found, []);
    this.#shapes.set(key, shape);
    return shape;
  }

  #expand(found: Found, args: (() => Shape)[]): Shape {
    const { declaration, file, name } = found;
    if (declaration.kind === "class") {
      // A page's body is the interface beside the page's class.
      return this.#expand(this.find(file, [`${name}Response`]), args);
    }
    const generics = new Map(
      declaration.generics.map((generic, at) => [generic, args[at] ?? (() => ({ kind: "any" }) as Shape)]),
    );
    if (declaration.kind === "alias") {
      const shape = this.shapeOf({ file, type: declaration.type }, generics);
      return shape.kind === "union" ? { ...shape, name } : shape;
    }
    const own = this.#members(file, declaration.body, generics);
    const members = new Map<string, ShapeMember>();
    let index = own.index;
    for (const base of declaration.bases) {
      const shape = this.shapeOf({ file, type: base }, generics);
      if (shape.kind !== "object") throw new Error(`${file}: ${name} extends something that is no object`);
      for (const [key, member] of shape.members) members.set(key, member);
      index ??= shape.index;
    }
    for (const [key, member] of own.members) members.set(key, member);
    return { kind: "object", name, members, index };
  }

  #members(
    file: string,
    body: { members: Member[]; index: TypeNode | null },
    generics: ReadonlyMap<string, () => Shape>,
  ): { members: Map<string, ShapeMember>; index: (() => Shape) | null } {
    const { index } = body;
    return {
      members: new Map(
        body.members.map(({ name, optional, type }) => [
          name,
          { optional, shape: lazy(() => this.shapeOf({ file, type }, generics)) },
        ]),
      ),
      index: index === null ? null : lazy(() => this.shapeOf({ file, type: index }, generics)),
    };
  }

  #lookUp(file: string, path: readonly string[]): Found | null {
    const [first = "", ...rest] = path;
    const { declarations, imports, starExports } = this.#file(file);
    const declaration = declarations.get(first);
    if (declaration !== undefined && rest.length === 0) return { file, name: first, declaration };
    const imported = imports.get(first);
    if (imported !== undefined) {
      const from = this.#resolve(file, imported.from);
      if (from === null) return null;
      return imported.name === "*" ? this.#lookUp(from, rest) : this.#lookUp(from, [imported.name, ...rest]);
    }
    for (const star of starExports) {
      const from = this.#resolve(file, star);
      const found = from === null ? null : this.#lookUp(from, path);
      if (found !== null) return found;
    }
    return null;
  }

  #resolve(file: string, target: string): string | null {
    if (!target.startsWith(".")) return null;
    const path = join(this.root, dirname(file), target.replace(/\.m?js$/, ".d.ts"));
    return existsSync(path) ? relative(this.root, path) : null;
  }

  #file(file: string): DeclarationFile {
    let known = this.#files.get(file);
    if (known === undefined) {
      known = readDeclarations(readFileSync(join(this.root, file), "utf8"), file);
      this.#files.set(file, known);
    }
    return known;
  }
}

function lazy<T>(make: () => T): () => T {
  let made: { value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function keywordShape(name: string): Shape {
  if (name === "string" || name === "number" || name === "boolean" || name === "null") return { kind: name };
  return { kind: name === "never" || name === "undefined" || name === "void" ? "never" : "any" };
}

function flattened(name: string, parts: readonly Shape[]): Shape {
  const of = parts.flatMap((part) => (part.kind === "union" ? part.of : part.kind === "never" ? [] : [part]));
  return of.length === 1 && of[0] !== undefined ? of[0] : { kind: "union", name, of };
}

/** `string & {}` is a string; objects are put together. */
function joined(parts: readonly Shape[]): Shape {
  const plain = parts.find((part) => part.kind !== "object");
  if (plain !== undefined) return plain;
  const members = new Map<string, ShapeMember>();
  let index: (() => Shape) | null = null;
  for (const part of parts) {
    if (part.kind !== "object") continue;
    for (const [key, member] of part.members) members.set(key, member);
    index ??= part.index;
  }
  return { kind: "object", name: "", members, index };
}
