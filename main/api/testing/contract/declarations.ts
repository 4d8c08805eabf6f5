/** Reads one declaration file of the SDK: its imports, interfaces, type aliases and classes. */
import { TokenCursor } from "./token_cursor.ts";
import { tokensOf } from "./tokens.ts";

export type TypeNode =
  | { kind: "keyword"; name: string }
  | { kind: "literal"; value: string | number | boolean }
  | { kind: "array"; of: TypeNode }
  | { kind: "object"; members: Member[]; index: TypeNode | null }
  | { kind: "union" | "intersection"; of: TypeNode[] }
  | { kind: "reference"; path: string[]; args: TypeNode[] }
  /** Functions and other things that no JSON value has. */
  | { kind: "opaque" };

export interface Member {
  name: string;
  optional: boolean;
  type: TypeNode;
}

export interface Method {
  name: string;
  params: Member[];
  returns: TypeNode;
}

export type Declaration =
  | { kind: "interface"; generics: string[]; bases: TypeNode[]; body: Extract<TypeNode, { kind: "object" }> }
  | { kind: "alias"; generics: string[]; type: TypeNode }
  | { kind: "class"; fields: Member[]; methods: Method[] };

export interface DeclarationFile {
  declarations: Map<string, Declaration>;
  /** Local name → where it comes from; `name` "*" is the whole module. */
  imports: Map<string, { from: string; name: string }>;
  /** Modules whose names are all exported again. */
  starExports: string[];
}

const KEYWORDS = new Set("string number boolean null undefined unknown any void never bigint object symbol".split(" "));
const MODIFIERS = new Set(
  "export declare default abstract async readonly static private protected public get set".split(" "),
);

/** @throws Error when the file holds a form that this reader does not know: better than a check that checks nothing */
export function readDeclarations(text: string, file: string): DeclarationFile {
  return new Reader(tokensOf(text, file), file).file();
}

class Reader extends TokenCursor {
  file(): DeclarationFile {
    const file: DeclarationFile = { declarations: new Map(), imports: new Map(), starExports: [] };
    while (!this.ended) this.#statement(file);
    return file;
  }

  #statement(file: DeclarationFile): void {
    if (this.sign("import")) return this.#importStatement(file);
    const exported = this.peek("export");
    while (MODIFIERS.has(this.now.value)) this.skip();
    if (exported && (this.peek("{") || this.peek("*") || (this.peek("type") && this.peek("{", 1)))) {
      return this.#reExport(file);
    }
    if (this.sign("interface")) {
      const name = this.take().value;
      const generics = this.#generics();
      const bases: TypeNode[] = [];
      if (this.sign("extends"))
        do bases.push(this.#postfix());
        while (this.sign(","));
      const body = this.#objectBody();
      file.declarations.set(name, { kind: "interface", generics, bases, body });
    } else if (this.peek("type") && this.ahead(1)?.kind === "word") {
      this.skip();
      const name = this.take().value;
      const generics = this.#generics();
      this.expect("=");
      file.declarations.set(name, { kind: "alias", generics, type: this.#type() });
      this.sign(";");
    } else if (this.sign("class")) {
      const name = this.take().value;
      this.#generics();
      while (!this.peek("{")) this.skip();
      file.declarations.set(name, this.#classBody());
    } else {
      this.skipStatement();
    }
  }

  #importStatement(file: DeclarationFile): void {
    this.sign("type");
    const names: [string, string][] = [];
    if (this.now.kind === "word") {
      names.push([this.take().value, "default"]);
      this.sign(",");
    }
    if (this.sign("*")) {
      this.expect("as");
      names.push([this.take().value, "*"]);
    } else if (this.peek("{")) {
      for (const [local, name] of this.#nameList()) names.push([local, name]);
    }
    this.sign("from");
    const from = this.take().value;
    for (const [local, name] of names) file.imports.set(local, { from, name });
    this.sign(";");
  }

  #reExport(file: DeclarationFile): void {
    this.sign("type");
    if (this.sign("*")) {
      const alias = this.sign("as") ? this.take().value : null;
      this.expect("from");
      const from = this.take().value;
      if (alias === null) file.starExports.push(from);
      else file.imports.set(alias, { from, name: "*" });
    } else {
      const names = this.#nameList();
      if (this.sign("from")) {
        const from = this.take().value;
        for (const [local, name] of names) file.imports.set(local, { from, name });
      }
    }
    this.sign(";");
  }

  /** `{ A, type B as C }` as pairs of local and foreign name. */
  #nameList(): [string, string][] {
    const names: [string, string][] = [];
    this.expect("{");
    while (!this.sign("}")) {
      if (this.peek("type") && this.ahead(1)?.kind === "word") this.skip();
      const name = this.take().value;
      names.push([this.sign("as") ? this.take().value : name, name]);
      this.sign(",");
    }
    return names;
  }

  #classBody(): Declaration {
    const fields: Member[] = [];
    const methods: Method[] = [];
    this.expect("{");
    while (!this.sign("}")) {
      while (MODIFIERS.has(this.now.value) && !["(", "<", ":", "?", ";"].includes(this.ahead(1)?.value ?? "")) {
        this.skip();
      }
      const name = this.#propertyName();
      const optional = this.sign("?");
      if (this.peek("(") || this.peek("<")) {
        this.#generics();
        const params = this.#parameters();
        methods.push({ name, params, returns: this.sign(":") ? this.#type() : { kind: "opaque" } });
      } else if (this.sign(":")) fields.push({ name, optional, type: this.#type() });
      this.sign(";");
    }
    return { kind: "class", fields, methods };
  }

  #parameters(): Member[] {
    const params: Member[] = [];
    this.expect("(");
    while (!this.sign(")")) {
      this.sign("...");
      if (this.peek("{") || this.peek("[")) {
        this.skipBalanced();
        params.push({ name: "", optional: false, type: this.sign(":") ? this.#type() : { kind: "opaque" } });
      } else {
        const name = this.take().value;
        const optional = this.sign("?");
        params.push({ name, optional, type: this.sign(":") ? this.#type() : { kind: "opaque" } });
      }
      this.sign(",");
    }
    return params;
  }

  #objectBody(): Extract<TypeNode, { kind: "object" }> {
    const body: Extract<TypeNode, { kind: "object" }> = { kind: "object", members: [], index: null };
    this.expect("{");
    while (!this.sign("}")) {
      if (this.peek("readonly") && ![":", "?", "("].includes(this.ahead(1)?.value ?? "")) this.skip();
      this.#objectMember(body);
      if (!this.sign(";")) this.sign(",");
    }
    return body;
  }

  #objectMember(body: Extract<TypeNode, { kind: "object" }>): void {
    if (this.peek("[") && this.ahead(2)?.value === ":") {
      while (!this.sign("]")) this.skip();
      this.expect(":");
      body.index = this.#type();
    } else if (this.peek("(") || this.peek("<") || this.peek("new")) {
      while (!this.peek(";") && !this.peek("}")) this.skipOne();
    } else {
      const name = this.#propertyName();
      const optional = this.sign("?");
      if (this.peek("(") || this.peek("<")) {
        this.#generics();
        this.#parameters();
        if (this.sign(":")) this.#type();
      } else body.members.push({ name, optional, type: this.sign(":") ? this.#type() : { kind: "opaque" } });
    }
  }

  #propertyName(): string {
    if (!this.sign("[")) return this.take().value;
    let name = "";
    while (!this.sign("]")) name += this.take().value;
    return `[${name}]`;
  }

  #generics(): string[] {
    const names: string[] = [];
    if (!this.sign("<")) return names;
    while (!this.sign(">")) {
      this.sign("const");
      names.push(this.take().value);
      if (this.sign("extends")) this.#type();
      if (this.sign("=")) this.#type();
      this.sign(",");
    }
    return names;
  }

  #type(): TypeNode {
    this.sign("|");
    const parts = [this.#intersection()];
    while (this.sign("|")) parts.push(this.#intersection());
    return parts.length === 1 ? (parts[0] as TypeNode) : { kind: "union", of: parts };
  }

  #intersection(): TypeNode {
    this.sign("&");
    const parts = [this.#postfix()];
    while (this.sign("&")) parts.push(this.#postfix());
    if (this.sign("extends")) {
      this.#type();
      this.expect("?");
      this.#type();
      this.expect(":");
      this.#type();
      return { kind: "opaque" };
    }
    return parts.length === 1 ? (parts[0] as TypeNode) : { kind: "intersection", of: parts };
  }

  #postfix(): TypeNode {
    let type = this.#primary();
    while (this.peek("[")) {
      this.skip();
      if (this.sign("]")) type = { kind: "array", of: type };
      else {
        this.#type();
        this.expect("]");
        type = { kind: "opaque" };
      }
    }
    return type;
  }

  #primary(): TypeNode {
    const token = this.now;
    if (token.kind === "text" || token.kind === "number") {
      this.skip();
      return { kind: "literal", value: token.kind === "text" ? token.value : Number(token.value) };
    }
    if (token.value === "{") return this.#mapped() ?? this.#objectBody();
    if (token.value === "(") return this.#parenthesised();
    if (token.value === "[") {
      this.skipBalanced();
      return { kind: "opaque" };
    }
    if (token.value === "<" || token.value === "new") {
      this.sign("new");
      this.#generics();
      return this.#parenthesised();
    }
    if (token.kind !== "word") this.fail("a type");
    this.skip();
    return this.#named(token.value);
  }

  #named(word: string): TypeNode {
    if (word === "true" || word === "false") return { kind: "literal", value: word === "true" };
    if (KEYWORDS.has(word)) return { kind: "keyword", name: word };
    if (["keyof", "typeof", "infer", "unique", "asserts"].includes(word)) {
      this.#postfix();
      return { kind: "opaque" };
    }
    if (word === "readonly") return this.#postfix();
    if (word === "import") this.skipBalanced();
    const path = [word];
    while (this.sign(".")) path.push(this.take().value);
    const args: TypeNode[] = [];
    if (this.sign("<")) {
      while (!this.sign(">")) {
        args.push(this.#type());
        this.sign(",");
      }
    }
    if (this.sign("is")) this.#type();
    if (word === "import") return { kind: "opaque" };
    if (word === "Array" && args[0] !== undefined) return { kind: "array", of: args[0] };
    if (word === "Record" && args[1] !== undefined) return { kind: "object", members: [], index: args[1] };
    return { kind: "reference", path, args };
  }

  #mapped(): TypeNode | null {
    const mapped = this.ahead(1)?.value === "[" && this.ahead(2)?.kind === "word" && this.ahead(3)?.value === "in";
    if (!mapped) return null;
    this.skipBalanced();
    return { kind: "opaque" };
  }

  #parenthesised(): TypeNode {
    const arrow = this.attempt((): TypeNode | null => {
      this.skipBalanced();
      if (!this.sign("=>")) return null;
      this.#type();
      return { kind: "opaque" };
    });
    if (arrow !== null) return arrow;
    this.skip();
    const type = this.#type();
    this.expect(")");
    return type;
  }
}
