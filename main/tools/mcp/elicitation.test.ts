import type { ElicitRequestParams } from "@modelcontextprotocol/client";
import { describe, expect, test } from "vitest";
import { answerElicitation, elicitationText } from "./elicitation.ts";

const form = (properties: object, required: string[] = []): ElicitRequestParams =>
  ({ message: "Which?", requestedSchema: { type: "object", properties, required } }) as ElicitRequestParams;

describe("a question to the person", () => {
  test("is answered only with what the server itself proposes", () => {
    const all = form({ a: { type: "string", default: "x" }, b: { type: "boolean", default: false } }, ["a"]);
    expect(answerElicitation(all)).toEqual({ action: "accept", content: { a: "x", b: false } });
    expect(elicitationText(all, answerElicitation(all))).toBe(
      "The server asks: Which? (its own defaults were given back)",
    );
  });

  test.each<[string, ElicitRequestParams]>([
    ["an open field", form({ a: { type: "string" } })],
    ["one open field of two", form({ a: { type: "string", default: "x" }, b: { type: "string" } }, ["a"])],
    ["no field: a mere confirmation", form({})],
    ["an address", { mode: "url", message: "Go", url: "https://a.test", elicitationId: "1" } as ElicitRequestParams],
  ])("%s is declined", (_name, params) => {
    expect(answerElicitation(params)).toEqual({ action: "decline" });
  });
});
