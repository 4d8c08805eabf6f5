import { describe, expect, it } from "vitest";
import { fieldOf } from "./form.tsx";

describe("fieldOf", () => {
  it.each([
    ["`resources[0].path`: /nope is not a folder", "folder"],
    ["resources.0.path: /nope is no Git work tree. Give the root of a repository.", "folder"],
    ["initial_events.0.content: must not be empty", "task"],
    ["environment_id: there is no environment env_1", "environment"],
    ["model: must be a string", "model"],
    ["agent: agent_1 is archived", "agent"],
  ])("%s belongs to %s", (message, field) => expect(fieldOf(message)).toBe(field));

  it("leaves what names no field to the form", () => expect(fieldOf("The disk is full.")).toBeNull());
});
