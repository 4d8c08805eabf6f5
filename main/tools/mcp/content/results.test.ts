import type { CallToolResult } from "@modelcontextprotocol/client";
import { describe, expect, test } from "vitest";
import { refusedCall, toResult } from "./results.ts";

const base64 = (text: string): string => Buffer.from(text, "latin1").toString("base64");
const PNG = base64("\x89PNG\r\n\x1a\nrest");
const PDF = base64("%PDF-1.7 rest");
const resultOf = (content: unknown[], more: Partial<CallToolResult> = {}) =>
  toResult({ content, ...more } as CallToolResult);
const only = (block: unknown) => {
  const { content } = resultOf([block]);
  expect(content).toHaveLength(1);
  return content[0];
};
const resource = (inner: object) => ({ type: "resource", resource: { uri: "file:///a", ...inner } });

describe("what the model can see", () => {
  test("text, without what hides in it", () => {
    const text = "a\u001b[31mb\u001b]0;title\u0007c\0d\ud800e\u202ef\u{e0041}g";
    expect(only({ type: "text", text })).toEqual({ type: "text", text: "abc\ufffdd\ufffdefg" });
  });

  test.each(["image/png", "IMAGE/PNG; charset=x"])("an image of type %s", (mimeType) => {
    const source = { type: "base64", media_type: "image/png", data: PNG };
    expect(only({ type: "image", data: PNG, mimeType })).toEqual({ type: "image", source });
  });

  test("base64 in the other alphabet, in lines and without padding becomes what the model's API takes", () => {
    const data = Buffer.from("\x89PNG\xff\xfe\xfb\xff?>", "latin1");
    const given = data.toString("base64url").replace(/(.{4})/g, "$1\n");
    expect(only({ type: "image", data: given, mimeType: "image/png" })).toMatchObject({
      source: { data: data.toString("base64") },
    });
  });

  test("resources: text, text in base64, an image, a PDF", () => {
    expect(only(resource({ text: "words" }))).toEqual({ type: "text", text: "Resource file:///a:\nwords" });
    expect(resultOf([resource({ blob: base64("{}"), mimeType: "application/json" })]).content).toEqual([
      { type: "text", text: "Resource file:///a:" },
      { type: "text", text: "{}" },
    ]);
    expect(resultOf([resource({ blob: PNG, mimeType: "image/png" })]).content[1]).toMatchObject({ type: "image" });
    expect(resultOf([resource({ blob: PDF, mimeType: "application/pdf" })]).content[1]).toEqual({
      type: "document",
      source: { type: "base64", media_type: "application/pdf", data: PDF },
    });
  });

  test("a link is told", () => {
    const link = {
      type: "resource_link",
      uri: "demo://1",
      name: "one",
      mimeType: "text/plain",
      description: "first\nof all",
    };
    expect(only(link)).toEqual({ type: "text", text: 'Resource "one" (text/plain) at demo://1: first of all' });
  });

  test("structured content, once", () => {
    const structuredContent = { a: [1, "two"] };
    const text = JSON.stringify(structuredContent, null, 2);
    expect(resultOf([{ type: "text", text }], { structuredContent }).content).toEqual([{ type: "text", text }]);
    expect(resultOf([], { structuredContent }).content).toEqual([
      { type: "text", text: JSON.stringify(structuredContent, null, 1) },
    ]);
    expect(resultOf([{ type: "text", text: "see there" }], { structuredContent }).content).toHaveLength(2);
  });

  test("nothing is said as such, and an error stays one", () => {
    expect(toResult({ content: [], isError: true })).toEqual({
      content: [{ type: "text", text: "(no output)" }],
      is_error: true,
    });
    expect(toResult({} as CallToolResult).content).toEqual([{ type: "text", text: "(no output)" }]);
    expect(resultOf([{ type: "text", text: "" }]).content).toEqual([{ type: "text", text: "(no output)" }]);
  });
});

describe("what it cannot see is told in words", () => {
  test.each<[string, unknown, RegExp]>([
    ["sound", { type: "audio", data: PNG, mimeType: "audio/wav" }, /^\[Sound, type audio\/wav, about 1 KiB/],
    ["a drawing", { type: "image", data: PNG, mimeType: "image/svg+xml" }, /type image\/svg\+xml/],
    ["an image that is none", { type: "image", data: base64("hello"), mimeType: "image/png" }, /cannot be shown/],
    ["an empty image", { type: "image", data: "", mimeType: "image/png" }, /cannot be shown/],
    ["no base64", { type: "image", data: "%%%", mimeType: "image/png" }, /not in base64/],
    ["a huge image", { type: "image", data: PNG.padEnd(8_000_000, "A"), mimeType: "image/png" }, /about 5860 KiB/],
  ])("%s", (_name, block, text) => {
    expect(only(block)).toMatchObject({ type: "text", text: expect.stringMatching(text) });
  });

  test("an archive", () => {
    expect(resultOf([resource({ blob: PNG, mimeType: "application/zip" })]).content[1]).toMatchObject({
      text: "[A file, type application/zip, about 1 KiB: it cannot be shown here.]",
    });
  });
});

describe("bounds", () => {
  const sizeOf = (result: ReturnType<typeof toResult>): number => JSON.stringify(result).length;

  test("text is cut, and says so", () => {
    const result = resultOf([
      { type: "text", text: "x".repeat(1_000_000) },
      { type: "text", text: "after" },
    ]);
    expect(sizeOf({ ...result, whole: "" })).toBeLessThan(101_000);
    expect(result.content[0]).toMatchObject({ text: expect.stringMatching(/x … \(cut\)$/) });
    expect(result.content.at(-1)).toEqual({
      type: "text",
      text: "[1 more parts of this result were too large to show.]",
    });
  });

  test("ten thousand blocks are a hundred", () => {
    const result = resultOf(Array.from({ length: 10_000 }, () => ({ type: "text", text: "x" })));
    expect(result.content).toHaveLength(101);
  });

  test("images are bounded together", () => {
    const image = { type: "image", data: PNG.padEnd(5_000_000, "A"), mimeType: "image/png" };
    const result = resultOf([image, image, image, image]);
    expect(result.content.map(({ type }) => type)).toEqual(["image", "image", "text"]);
  });

  test("no character is halved", () => {
    const { content } = resultOf([{ type: "text", text: "👋".repeat(100_000) }]);
    expect(JSON.stringify(content)).not.toMatch(/\\ud[89ab]/i);
  });

  test("a refusal is bounded", () => {
    expect(sizeOf(refusedCall("x".repeat(1_000_000), -32_000))).toBeLessThan(4_200);
  });
});
