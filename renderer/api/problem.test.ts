import Anthropic from "@anthropic-ai/sdk";
import { describe, expect, it } from "vitest";
import { problemOf, problemOfAnswer } from "./problem.ts";

const envelope = (message: string): unknown => ({ type: "error", error: { type: "invalid_request_error", message } });

describe("problems", () => {
  it("take the engine's own words", () => {
    expect(problemOfAnswer(400, envelope("resources.0.path: no such folder"))).toMatchObject({
      kind: "rejected",
      message: "resources.0.path: no such folder",
    });
    expect(problemOfAnswer(404, envelope("Session not found.")).kind).toBe("missing");
    expect(problemOfAnswer(409, null).kind).toBe("conflict");
    expect(problemOfAnswer(401, null).kind).toBe("signed_out");
  });

  it("never show a bare status when the body is odd", () => {
    expect(problemOfAnswer(500, "<html>").message).toBe("The engine answered with status 500.");
    expect(problemOfAnswer(500, { error: { message: 7 } }).message).toBe("The engine answered with status 500.");
  });

  it("read the SDK's errors", () => {
    const thrown = Anthropic.APIError.generate(400, envelope("title: too long") as object, undefined, new Headers());
    expect(problemOf(thrown)).toMatchObject({ kind: "rejected", message: "title: too long" });
    expect(problemOf(new Anthropic.APIConnectionError({})).kind).toBe("away");
  });

  it("say that something sent may have arrived", () => {
    expect(problemOf(new TypeError("fetch failed"), true).advice).toContain("it may have arrived");
    expect(problemOf(new TypeError("fetch failed")).advice).not.toContain("it may have arrived");
  });
});
