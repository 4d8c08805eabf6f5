import type {
  BetaManagedAgentsAgentToolset20260401BashInput as BashInput,
  BetaManagedAgentsAgentToolset20260401EditInput as EditInput,
  BetaManagedAgentsAgentToolset20260401GlobInput as GlobInput,
  BetaManagedAgentsAgentToolset20260401GrepInput as GrepInput,
  BetaManagedAgentsAgentToolset20260401ReadInput as ReadInput,
  BetaManagedAgentsAgentToolset20260401WriteInput as WriteInput,
} from "@anthropic-ai/sdk/resources/beta/agents/agents";
import { describe, expect, test } from "vitest";
import type { Machine } from "../machine.ts";
import { ToolFailure } from "../port.ts";
import { effectOf, toolDefinitions } from "./definitions.ts";
import { lineMatcher } from "./grep_matcher.ts";
import { Toolset } from "./toolset.ts";

/** Every field of the SDK's inputs; a field that it adds or drops is a type error here. */
const FIELDS: {
  bash: Record<keyof BashInput, true>;
  read: Record<keyof ReadInput, true>;
  write: Record<keyof WriteInput, true>;
  edit: Record<keyof EditInput, true>;
  glob: Record<keyof GlobInput, true>;
  grep: Record<keyof GrepInput, true>;
} = {
  bash: { command: true, restart: true, timeout_ms: true },
  read: { file_path: true, view_range: true },
  write: { file_path: true, content: true },
  edit: { file_path: true, old_string: true, new_string: true, replace_all: true },
  glob: { pattern: true, path: true },
  grep: { pattern: true, path: true },
};

describe("definitions", () => {
  test("the model is offered exactly the inputs of the SDK", () => {
    const offered = toolDefinitions.map(({ name, input_schema }) => [
      name,
      Object.keys(input_schema.properties).sort(),
    ]);
    expect(offered).toEqual(Object.entries(FIELDS).map(([name, fields]) => [name, Object.keys(fields).sort()]));
  });

  test("a tool that nobody knows is taken for the worst", () => {
    expect(toolDefinitions.map(({ name }) => `${name} ${effectOf(name)}`)).toEqual([
      "bash effect",
      "read read",
      "write keyed",
      "edit effect",
      "glob read",
      "grep read",
    ]);
    expect(effectOf("launch_rocket")).toBe("effect");
  });
});

describe("a result too long for a request", () => {
  const written = new Map<string, string>();
  const machine: Pick<Machine, "resolve" | "stat" | "walk" | "write"> = {
    resolve: async (path) => (path === "." ? "/workspace" : path),
    stat: async () => ({ kind: "directory", size: 0 }),
    write: async (path, content) => void written.set(path, content),
    walk: async function* () {
      for (let i = 0; i < 200; i += 1) yield { path: `/workspace/${"x".repeat(1000)}${i}`, mtime_ms: 0 };
    },
  };
  const toolset = new Toolset(machine as Machine);
  const call = { tool_use_id: "../sevt_1", signal: new AbortController().signal };

  test("is a preview, and whole in a file", async () => {
    const text = await toolset.run("glob", { pattern: "*" }, call);
    expect(text.length).toBeLessThan(11_000);
    expect(text).toMatch(
      /\[output truncated: \d+ characters in all; the whole output is in \/tmp\/tool-output\/___sevt_1\.txt\]$/,
    );
    expect(written.get("/tmp/tool-output/___sevt_1.txt")?.split("\n")).toHaveLength(200);
  });

  test("a tool that is not there is a failure", async () => {
    await expect(toolset.run("nope", {}, call)).rejects.toBeInstanceOf(ToolFailure);
  });
});

describe("matching lines", () => {
  test("a pattern that backtracks for ever is stopped, and does not hold up this process", async () => {
    const abort = new AbortController();
    const matcher = lineMatcher("^(a+)+$", abort.signal);
    const matching = matcher.match([`${"a".repeat(60)}b`]);
    const ticks: number[] = [];
    const timer = setInterval(() => ticks.push(1), 10);
    setTimeout(() => abort.abort(new Error("enough")), 300);
    await expect(matching).rejects.toThrow("enough");
    clearInterval(timer);
    expect(ticks.length).toBeGreaterThan(3);
  });

  test.each(["b", "b|x", "^b"])("%s finds the same with and without a thread", async (pattern) => {
    const matcher = lineMatcher(pattern, new AbortController().signal);
    expect(await matcher.match(["a", "b", null, "bb", ""])).toEqual([1, 3]);
    expect(await matcher.match([])).toEqual([]);
    matcher.end();
  });

  test("a pattern nested too deep is a failure, not the end of this process", async () => {
    const deep = `${"(".repeat(3000)}a${")".repeat(3000)}`;
    const matcher = lineMatcher(deep, AbortSignal.timeout(20_000));
    await matcher.match(["a"]).then(
      (found) => expect(found).toEqual([0]),
      (error: unknown) => expect(error).toBeInstanceOf(Error),
    );
    matcher.end();
  });
});
