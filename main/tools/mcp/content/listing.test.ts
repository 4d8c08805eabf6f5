import type { Client } from "@modelcontextprotocol/client";
import { describe, expect, test } from "vitest";
import { headerFault } from "./header_parameters.ts";
import { listTools } from "./listing.ts";

const schema = { type: "object" };
const deep = (levels: number): object => (levels === 0 ? {} : { properties: { a: deep(levels - 1) } });

/** A server that gives one page, without the protocol around it. */
const listed = async (tools: unknown[], { instructions = "", modern = true } = {}) =>
  (
    await listTools(
      {
        getProtocolEra: () => (modern ? "modern" : "legacy"),
        getServerCapabilities: () => ({ tools: {} }),
        getInstructions: () => instructions,
        request: () => Promise.resolve({ tools }),
      } as unknown as Client,
      {},
    )
  ).listing;

describe("a listing", () => {
  test("keeps schemas as they came, references included", async () => {
    const inputSchema = {
      $schema: "https://json-schema.org/draft/2020-12/schema",
      type: "object",
      properties: { a: { $ref: "http://127.0.0.1:1/schema.json" }, b: { $ref: "#/$defs/b" } },
      $defs: { b: { $anchor: "b", type: "string" } },
      allOf: [{ anyOf: [{ required: ["a"] }] }],
      "x-other": 1,
    };
    const { tools } = await listed([{ name: "a", inputSchema }]);
    expect(tools[0]?.input_schema).toEqual(inputSchema);
  });

  test("cleans and bounds what is read by models and people", async () => {
    const { tools, instructions } = await listed(
      [
        { name: "a", inputSchema: schema, description: `  says\u001b[1m this\u{e0041}\ud800  ` },
        { name: "b", inputSchema: schema, description: "x".repeat(100_000) },
        { name: "c", inputSchema: schema, title: "only a title", description: " " },
        { name: "d", inputSchema: schema, description: 5 },
      ],
      { instructions: `${"y".repeat(100_000)}` },
    );
    expect(tools.map(({ description }) => description.length)).toEqual(["says this\ufffd".length, 8_000, 12, 0]);
    expect(instructions).toHaveLength(8_000);
    expect((await listed([], { instructions: " \n" })).instructions).toBeNull();
  });

  test("hints are believed to be hints only when they are true", async () => {
    const hints = (annotations: unknown) => ({ name: JSON.stringify(annotations), inputSchema: schema, annotations });
    const { tools } = await listed([
      hints({ readOnlyHint: true }),
      hints({ idempotentHint: true }),
      hints({ readOnlyHint: "yes" }),
      hints(null),
    ]);
    expect(tools.map(({ read_only, idempotent }) => [read_only, idempotent])).toEqual([
      [true, true],
      [false, true],
      [false, false],
      [false, false],
    ]);
  });

  test.each<[string, unknown, RegExp]>([
    ["null", null, /name/],
    ["a number", 5, /name/],
    ["no name", { inputSchema: schema }, /name/],
    ["a long name", { name: "x".repeat(129), inputSchema: schema }, /name/],
    ["a name with a line break", { name: "a\nb", inputSchema: schema }, /name/],
    ["a name with hidden characters", { name: "a\u{e0041}", inputSchema: schema }, /name/],
    ["no schema", { name: "a" }, /schema is not one of an object/],
    ["a schema of a string", { name: "a", inputSchema: { type: "string" } }, /schema is not one of an object/],
    ["a list as schema", { name: "a", inputSchema: [] }, /schema is not one of an object/],
    ["a huge schema", { name: "a", inputSchema: { type: "object", description: "x".repeat(70_000) } }, /larger than/],
    ["a deep schema", { name: "a", inputSchema: { type: "object", ...deep(1_000) } }, /nested more than/],
    ["a task", { name: "a", inputSchema: schema, execution: { taskSupport: "required" } }, /background task/],
  ])("leaves out %s, and nothing else", async (_name, tool, reason) => {
    const { tools, left_out } = await listed([tool, { name: "good", inputSchema: schema }]);
    expect(tools.map(({ name }) => name)).toEqual(["good"]);
    expect(left_out).toEqual([
      { name: expect.stringMatching(/^[^\n]{1,128}$/), reason: expect.stringMatching(reason) },
    ]);
  });

  test("the first of two with one name counts", async () => {
    const { tools, left_out } = await listed([
      { name: "a", description: "first", inputSchema: schema },
      { name: "a", description: "second", inputSchema: schema },
    ]);
    expect(tools.map(({ description }) => description)).toEqual(["first"]);
    expect(left_out).toEqual([{ name: "a", reason: "an earlier tool has the same name" }]);
  });

  test("all together are bounded", async () => {
    const inputSchema = { type: "object", description: "x".repeat(60_000) };
    const { tools, left_out } = await listed(
      Array.from({ length: 100 }, (_, index) => ({ name: `t${index}`, inputSchema })),
    );
    expect(JSON.stringify(tools).length).toBeLessThan(1.1 * 1024 * 1024);
    expect(tools.length).toBeGreaterThan(10);
    expect(left_out).toHaveLength(50);
  });

  test("wrong headers matter only where arguments are sent as headers", async () => {
    const tool = {
      name: "a",
      inputSchema: { type: "object", properties: { b: { type: "string", "x-mcp-header": "a b" } } },
    };
    expect((await listed([tool])).tools).toEqual([]);
    expect((await listed([tool], { modern: false })).tools).toHaveLength(1);
  });
});

describe("arguments sent as headers", () => {
  const property = (more: object) => ({ type: "object", properties: { a: { type: "string", ...more } } });
  const named = (name: unknown, type = "string") => property({ type, "x-mcp-header": name });

  test.each<[string, object]>([
    ["none", property({})],
    ["a string", named("Region")],
    ["an integer", named("Region", "integer")],
    ["a boolean", named("Region", "boolean")],
    ["a nested one", { type: "object", properties: { a: named("Region") } }],
    ["a word in a default", property({ default: { "x-mcp-header": "a b" } })],
    ["a property with that name", { type: "object", properties: { "x-mcp-header": { type: "string" } } }],
  ])("%s is right", (_name, given) => {
    expect(headerFault(given)).toBeNull();
  });

  test.each<[string, object]>([
    ["no name", named("")],
    ["a space", named("a b")],
    ["a line break", named("a\r\nb")],
    ["a colon", named("a:b")],
    ["not ASCII", named("Région")],
    ["no text", named(5)],
    ["a number", named("Region", "number")],
    ["an object", named("Region", "object")],
    ["the schema itself", { type: "object", "x-mcp-header": "A" }],
    ["within a list", { type: "object", properties: { a: { type: "array", items: named("Region") } } }],
    ["within anyOf", { type: "object", anyOf: [named("Region")] }],
    ["within definitions", { type: "object", $defs: { a: named("Region") } }],
    [
      "two of one name",
      {
        type: "object",
        properties: { a: { type: "string", "x-mcp-header": "A" }, b: { type: "string", "x-mcp-header": "a" } },
      },
    ],
    ["nested without end", { type: "object", ...deep(2_000) }],
  ])("%s is wrong", (_name, given) => {
    expect(headerFault(given)).toEqual(expect.any(String));
  });
});
