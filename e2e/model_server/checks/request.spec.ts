import { describe, expect, test } from "vitest";
import { DEFAULT_MODELS } from "../server.ts";
import { parseBody } from "./body.ts";
import { Rejection } from "./rejection.ts";
import { checkRequest } from "./request.ts";
import type { Json } from "./shape.ts";
import { ThinkingLedger } from "./thinking.ts";

const ledger = new ThinkingLedger("secret");
const tool = { name: "bash", input_schema: { type: "object", properties: { command: { type: "string" } } } };
const user = (content: unknown): Json => ({ role: "user", content });
const assistant = (content: unknown): Json => ({ role: "assistant", content });
const use = (id: string): Json => ({ type: "tool_use", id, name: "bash", input: { command: "ls" } });
const result = (id: string, more: Json = {}): Json => ({
  type: "tool_result",
  tool_use_id: id,
  content: "ok",
  ...more,
});
const text = (value: string, more: Json = {}): Json => ({ type: "text", text: value, ...more });
const cached = { cache_control: { type: "ephemeral" } };

const base: Json = { model: "claude-sonnet-5-5", max_tokens: 1000, messages: [user("hi")], tools: [tool] };
const check = (changes: Json): void => {
  const body = Object.fromEntries(Object.entries({ ...base, ...changes }).filter(([, value]) => value !== undefined));
  checkRequest(parseBody(Buffer.from(JSON.stringify(body))), "create", DEFAULT_MODELS, ledger);
};
const messages = (...list: Json[]): Json => ({ messages: list });

describe("accepts", () => {
  const accepted: [string, Json][] = [
    ["a plain question", {}],
    ["consecutive messages of one role, merged", messages(user("a"), user("b"))],
    ["a call and its result", messages(user("a"), assistant([use("t1")]), user([result("t1"), text("go on")]))],
    [
      "parallel calls whose results come in two user messages",
      messages(user("a"), assistant([use("t1"), use("t2")]), user([result("t1")]), user([result("t2")])),
    ],
    [
      "a result without content",
      messages(user("a"), assistant([use("t1")]), user([{ type: "tool_result", tool_use_id: "t1" }])),
    ],
    ["automatic caching", { cache_control: { type: "ephemeral" } }],
    ["a system prompt in blocks", { system: [text("be short", cached)] }],
    [
      "four breakpoints",
      {
        tools: [{ ...tool, ...cached }],
        system: [text("s", cached)],
        messages: [user([text("a", cached), text("b", cached)])],
      },
    ],
    [
      "prefill where the model has it",
      { model: "claude-haiku-4-5", ...messages(user("a"), assistant("The answer is")) },
    ],
    [
      "a system message in mid-conversation",
      messages(user("a"), { role: "system", content: "c" }, assistant("b"), user("d")),
    ],
    ["a system message at the end", messages(user("a"), assistant("b"), user("c"), { role: "system", content: "d" })],
  ];
  test.each(accepted)("%s", (_name, changes) => {
    expect(() => check(changes)).not.toThrow();
  });

  test("the thinking it issued itself", () => {
    const block = { type: "thinking", thinking: "hm", signature: ledger.sign("hm") };
    const redacted = { type: "redacted_thinking", data: ledger.seal("secret") };
    expect(() =>
      check(messages(user("a"), assistant([block, redacted, use("t1")]), user([result("t1")]))),
    ).not.toThrow();
  });
});

describe("refuses with the API's own text", () => {
  const refused: [string, Json, string][] = [
    ["no model", { model: undefined }, "model: Field required"],
    ["no max_tokens", { max_tokens: undefined }, "max_tokens: Field required"],
    ["no messages", { messages: undefined }, "messages: Field required"],
    ["an empty conversation", { messages: [] }, "messages: at least one message is required"],
    ["an unknown field", { betas: [] }, "betas: Extra inputs are not permitted"],
    ["a wrong type", { max_tokens: "10" }, "max_tokens: Input should be a valid integer"],
    ["max_tokens below zero", { max_tokens: -1 }, "max_tokens: Input should be greater than or equal to 0"],
    [
      "max_tokens over the model's limit",
      { max_tokens: 64_001 },
      "max_tokens: 64001 > 64000, which is the maximum allowed",
    ],
    [
      "max_tokens within the thinking budget",
      { thinking: { type: "enabled", budget_tokens: 1024 } },
      "`max_tokens` must be greater than `thinking.budget_tokens`",
    ],
    [
      "a system message first",
      messages({ role: "system", content: "c" }, user("a")),
      'messages: first message must use the "user" role',
    ],
    [
      "a system message behind an answer",
      messages(user("a"), assistant("b"), { role: "system", content: "c" }),
      "must immediately follow a `user` message",
    ],
    [
      "a system message before a user's",
      messages(user("a"), { role: "system", content: "c" }, user("b")),
      "must be the last message or be followed by",
    ],
    [
      "a system message for a model that knows none",
      { model: "claude-opus-4-6", ...messages(user("a"), { role: "system", content: "c" }) },
      "role 'system' is not supported on this model",
    ],
    ["an assistant first", messages(assistant("a")), 'messages: first message must use the "user" role'],
    ["an unknown role", messages({ role: "tool", content: "a" }), "messages.0: Input should be 'user' or 'assistant'"],
    ["empty text", messages(user([text("")])), "messages: text content blocks must be non-empty"],
    ["blank text", messages(user([text(" \n")])), "messages: text content blocks must contain non-whitespace text"],
    [
      "empty text inside a result",
      messages(user("a"), assistant([use("t1")]), user([result("t1", { content: [text("")] })])),
      "text content blocks must be non-empty",
    ],
    [
      "an empty message",
      messages(user("a"), assistant([]), user("b")),
      "messages.1: all messages must have non-empty content",
    ],
    [
      "a final assistant message that ends in white space",
      { model: "claude-haiku-4-5", ...messages(user("a"), assistant("b ")) },
      "messages: final assistant content cannot end with trailing whitespace",
    ],
    [
      "prefill where the model has none",
      messages(user("a"), assistant("b")),
      "does not support assistant message prefill",
    ],
    [
      "a NUL",
      messages(user([text("a\0b")])),
      "messages.0.content.0.text.text: String should not contain NUL characters",
    ],
    ["a NUL in a result", messages(user("a"), assistant([use("t1")]), user([result("t1", { content: "a\0" })])), "NUL"],
    [
      "an unknown block",
      messages(user([{ type: "sticker" }])),
      "messages.0.content.0: Input tag 'sticker' found using 'type'",
    ],
    [
      "an unknown field of a block",
      messages(user([text("a", { id: 1 })])),
      "messages.0.content.0.text.id: Extra inputs are not permitted",
    ],
    [
      "a thinking block with cache_control",
      messages(user("a"), assistant([{ type: "thinking", thinking: "a", signature: "b", ...cached }])),
      "messages.1.content.0.thinking.cache_control: Extra inputs",
    ],
    ["a call by the user", messages(user([use("t1")])), "messages.0.content.0: Input tag 'tool_use'"],
    [
      "an input that is a string",
      messages(user("a"), assistant([{ ...use("t1"), input: "{}" }])),
      "messages.1.content.0.tool_use.input: Input should be a valid dictionary",
    ],
    [
      "five breakpoints",
      { cache_control: { type: "ephemeral" }, messages: [user([1, 2, 3, 4].map((n) => text(`${n}`, cached)))] },
      "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ],
    [
      "an unknown cache type",
      { cache_control: { type: "forever" } },
      "cache_control.type: Input should be 'ephemeral'",
    ],
    [
      "an unanswered call",
      messages(user("a"), assistant([use("t1")]), user("b")),
      "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t1. Each",
    ],
    [
      "a call at the end",
      messages(user("a"), assistant([use("t1")])),
      "without `tool_result` blocks immediately after: t1",
    ],
    [
      "one of two calls unanswered",
      messages(user("a"), assistant([use("t1"), use("t2")]), user([result("t1")])),
      "immediately after: t2.",
    ],
    [
      "text before the results",
      messages(user("a"), assistant([use("t1")]), user([text("x"), result("t1")])),
      "immediately after: t1",
    ],
    [
      "a result without a call",
      messages(user([result("t9")])),
      "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: t9",
    ],
    [
      "two results for one call",
      messages(user("a"), assistant([use("t1")]), user([result("t1"), result("t1")])),
      "each tool_use must have a single result. Found multiple `tool_result` blocks with id: t1",
    ],
    [
      "a result two messages later",
      messages(user("a"), assistant([use("t1")]), user([result("t1")]), assistant("b"), user([result("t1")])),
      "unexpected `tool_use_id`",
    ],
    [
      "an id used twice",
      messages(user("a"), assistant([use("t1")]), user([result("t1")]), assistant([use("t1")]), user([result("t1")])),
      "messages.3.content.0: `tool_use` ids must be unique",
    ],
    [
      "calls without tools",
      { tools: undefined, ...messages(user("a"), assistant([use("t1")]), user([result("t1")])) },
      "must define tools",
    ],
    [
      "thinking with a wrong signature",
      messages(
        user("a"),
        assistant([{ type: "thinking", thinking: "changed", signature: ledger.sign("hm") }, text("b")]),
        user("c"),
      ),
      "messages.1.content.0: Invalid `signature` in `thinking` block",
    ],
    [
      "altered redacted thinking",
      messages(
        user("a"),
        assistant([{ type: "redacted_thinking", data: `x${ledger.seal("a")}` }, text("b")]),
        user("c"),
      ),
      "Invalid `signature` in `redacted_thinking` block",
    ],
    [
      "an image of an unknown kind",
      messages(user([{ type: "image", source: { type: "base64", media_type: "image/bmp", data: "AAAA" } }])),
      "media_type: Input should be 'image/png'",
    ],
    [
      "image data that is not base64",
      messages(user([{ type: "image", source: { type: "base64", media_type: "image/png", data: "a b" } }])),
      "valid base64",
    ],
    [
      "an image that is not what it says",
      messages(user([{ type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }])),
      "Image does not match the provided media type image/png",
    ],
    [
      "an image beside is_error",
      messages(
        user("a"),
        assistant([use("t1")]),
        user([
          result("t1", {
            is_error: true,
            content: [{ type: "image", source: { type: "url", url: "https://x.test/a.png" } }],
          }),
        ]),
      ),
      'all content must be type "text" if "is_error" is true',
    ],
    [
      "a document of a wrong kind",
      messages(user([{ type: "document", source: { type: "text", media_type: "text/html", data: "a" } }])),
      "Input should be 'text/plain'",
    ],
    ["two tools of one name", { tools: [tool, tool] }, "tools: Tool names must be unique."],
    [
      "a tool name with a space",
      { tools: [{ ...tool, name: "my tool" }] },
      "tools.0.custom.name: String should match pattern",
    ],
    ["a tool without schema", { tools: [{ name: "a" }] }, "tools.0.custom.input_schema: Field required"],
    [
      "a schema that is no object",
      { tools: [{ name: "a", input_schema: { type: "string" } }] },
      "tools.0.custom.input_schema.type: Input should be 'object'",
    ],
    [
      "a broken schema",
      { tools: [{ name: "a", input_schema: { type: "object", properties: { x: { type: "text" } } } }] },
      "JSON schema is invalid",
    ],
    [
      "a union at the top of a schema",
      { tools: [{ name: "a", input_schema: { type: "object", anyOf: [] } }] },
      "does not support oneOf, allOf, or anyOf at the top level",
    ],
    [
      "a choice of a tool that is not there",
      { tool_choice: { type: "tool", name: "zip" } },
      "Tool 'zip' not found in provided tools",
    ],
    [
      "a choice without tools",
      { tools: [], tool_choice: { type: "any" } },
      "may only be specified while providing tools",
    ],
    ["a prompt that is too long", messages(user("x".repeat(900_000))), "tokens > 200000 maximum"],
  ];
  test.each(refused)("%s", (_name, changes, expected) => {
    expect(() => check(changes)).toThrow(Rejection);
    expect(() => check(changes)).toThrow(expected);
  });

  test("an unknown model is a 404 that names it", () => {
    const error = rejectionOf(() => check({ model: "claude-nope" }));
    expect(error).toMatchObject({ status: 404, type: "not_found_error", message: "model: claude-nope" });
  });

  test("a call of the running tool loop without the thinking that led to it", () => {
    const signature = ledger.sign("why");
    ledger.remember("t7", [signature]);
    const loop = (blocks: Json[], ...rest: Json[]): Json => ({
      thinking: { type: "adaptive" },
      ...messages(user("a"), assistant(blocks), user([result("t7")]), ...rest),
    });
    const thinking = { type: "thinking", thinking: "why", signature };
    expect(() => check(loop([thinking, use("t7")]))).not.toThrow();
    expect(() => check(loop([use("t7")]))).toThrow("blocks in the latest assistant message cannot be modified");
    expect(() => check(loop([use("t7"), thinking]))).toThrow("cannot be modified");
    // Thinking of a turn that is over may be left out.
    expect(() => check(loop([use("t7")], assistant("done"), user("next")))).not.toThrow();
    expect(() => check({ ...loop([use("t7")]), thinking: { type: "disabled" } })).not.toThrow();
  });
});

describe("bodies", () => {
  test.each([
    ["not JSON", Buffer.from("{"), "The request body is not valid JSON"],
    ["invalid UTF-8", Buffer.from([0x22, 0xff, 0x22]), "invalid UTF-8"],
    ["an escaped lone surrogate", Buffer.from('{"a":"\\ud800"}'), "no low surrogate in string"],
    ["a lone surrogate in a key", Buffer.from('{"\\udc00":1}'), "no low surrogate in string"],
  ])("%s is refused", (_name, bytes, expected) => {
    expect(() => parseBody(bytes)).toThrow(expected);
  });

  test("over 32 MB is a 413", () => {
    const error = rejectionOf(() => parseBody(Buffer.alloc(32 * 1024 * 1024 + 1, 32)));
    expect(error).toMatchObject({ status: 413, type: "request_too_large" });
  });

  test("a body that is no object is refused", () => {
    expect(() => checkRequest([], "create", DEFAULT_MODELS, ledger)).toThrow(
      "body: Input should be a valid dictionary",
    );
  });
});

function rejectionOf(run: () => void): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was refused");
}
