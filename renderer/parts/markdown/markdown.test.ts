import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Block, parseMarkdown } from "./blocks.ts";
import { type Inline, parseInline, safeHref } from "./inline.ts";

const words = (inline: Inline[]): string =>
  inline.map((part) => ("text" in part ? part.text : "children" in part ? words(part.children) : "\n")).join("");
const text = (value: string): Inline => ({ kind: "text", text: value });

describe("inline", () => {
  it("reads code, emphasis and links", () => {
    expect(parseInline("a `b*c*` **d _e_** ~~f~~")).toEqual([
      text("a "),
      { kind: "code", text: "b*c*" },
      text(" "),
      { kind: "strong", children: [text("d "), { kind: "em", children: [text("e")] }] },
      text(" "),
      { kind: "del", children: [text("f")] },
    ]);
    expect(parseInline("see [the docs](https://x.dev/a_(b)) now")[1]).toEqual({
      kind: "link",
      href: "https://x.dev/a_(b)",
      children: [text("the docs")],
    });
  });

  it("leaves snake_case, globs and unclosed marks alone", () => {
    for (const plain of [
      "some_snake_case",
      "src/**/*.ts",
      "2 * 3 * 4",
      "**not closed",
      "`open",
      "a [b](",
      "<script>x</script>",
    ]) {
      expect(parseInline(plain)).toEqual([text(plain)]);
    }
  });

  it("links bare addresses without their final stop", () => {
    expect(parseInline("at http://127.0.0.1:8080/x.")[1]).toMatchObject({
      kind: "link",
      href: "http://127.0.0.1:8080/x",
    });
  });

  it("opens nothing that could run or load", () => {
    expect(safeHref("javascript:alert(1)")).toBeNull();
    expect(safeHref("data:text/html,x")).toBeNull();
    expect(safeHref("file:///etc/passwd")).toBeNull();
    expect(parseInline("[x](javascript:alert`1`)").every((part) => part.kind !== "link")).toBe(true);
    expect(parseInline("![pixel](https://spy.example/p.png)")).toEqual([
      { kind: "link", href: "https://spy.example/p.png", children: [text("[image: pixel]")] },
    ]);
    expect(words(parseInline("[file](./src/a.ts)"))).toBe("file (./src/a.ts)");
  });
});

describe("blocks", () => {
  it("reads headings, rules, quotes and code", () => {
    const blocks = parseMarkdown(
      "# Title #\n\n---\n> quoted\n> more\n\n```ts title\nconst a = 1;\n\n# not a heading\n```\nend",
    );
    expect(blocks.map((block) => block.kind)).toEqual(["heading", "rule", "quote", "code", "paragraph"]);
    expect(blocks[3]).toEqual({ kind: "code", language: "ts", text: "const a = 1;\n\n# not a heading" });
  });

  it("keeps an open fence open", () => {
    expect(parseMarkdown("```\nstill *streaming*")).toEqual([
      { kind: "code", language: "", text: "still *streaming*" },
    ]);
  });

  it("nests lists, keeps numbers and task marks", () => {
    const [list] = parseMarkdown("3. one\n   - inner `a`\n   - [x] done\n\n4. two\n   lazy\n") as [
      Extract<Block, { kind: "list" }>,
    ];
    expect(list).toMatchObject({ kind: "list", ordered: true, start: 3 });
    expect(list.items).toHaveLength(2);
    expect(list.items[0]?.blocks.map((block) => block.kind)).toEqual(["paragraph", "list"]);
    const inner = list.items[0]?.blocks[1];
    expect(inner?.kind === "list" && inner.items.map((item) => item.checked)).toEqual([null, true]);
  });

  it("puts code into list items", () => {
    const [list] = parseMarkdown("- run\n\n  ```sh\n  ls\n  ```\n- next") as [Extract<Block, { kind: "list" }>];
    expect(list.items).toHaveLength(2);
    expect(list.items[0]?.blocks[1]).toEqual({ kind: "code", language: "sh", text: "ls" });
  });

  it("reads tables with ragged rows", () => {
    const [table] = parseMarkdown("| a | b |\n|---|:-:|\n| 1 | x \\| y |\n| 2 |\n") as [
      Extract<Block, { kind: "table" }>,
    ];
    expect(table.head.map(words)).toEqual(["a", "b"]);
    expect(table.rows.map((row) => row.map(words))).toEqual([
      ["1", "x | y"],
      ["2", ""],
    ]);
  });

  it("never throws and loses no word, whatever comes", () => {
    const piece = fc.constantFrom(
      "- ",
      "  ",
      "1. ",
      "> ",
      "`",
      "```\n",
      "**",
      "_",
      "[",
      "](",
      ")",
      "|",
      "\n",
      "\n\n",
      "word",
      "#",
      " ",
      "\\",
    );
    const all = (blocks: Block[]): string =>
      blocks
        .map((block) => {
          if (block.kind === "code") return `${block.language}${block.text}`;
          if (block.kind === "list") return block.items.map((item) => all(item.blocks)).join("");
          if (block.kind === "quote") return all(block.blocks);
          if (block.kind === "table") return [block.head, ...block.rows].flatMap((row) => row.map(words)).join("");
          return block.kind === "rule" ? "" : words(block.inline);
        })
        .join("");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const source = pieces.join("");
        const blocks = parseMarkdown(source);
        // Table rows longer than their head and words after a fence's language are the only things dropped.
        if (source.includes("|") || source.includes("```")) return true;
        return all(blocks).split("word").length === source.split("word").length;
      }),
    );
  });

  it("takes long and hostile input in its stride", () => {
    const started = performance.now();
    parseMarkdown("[".repeat(20_000));
    parseMarkdown("*a ".repeat(20_000));
    parseMarkdown("`".repeat(20_000));
    parseMarkdown("> ".repeat(5000));
    parseMarkdown(`${"- ".repeat(3000)}x`);
    parseMarkdown("**a".repeat(10_000));
    expect(performance.now() - started).toBeLessThan(1000);
  });
});
