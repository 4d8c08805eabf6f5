import { describe, expect, test } from "vitest";
import { checkRules, importsOf } from "./rules.ts";

function problems(files: Record<string, string>): string[] {
  return checkRules(new Map(Object.entries(files))).problems.map(({ file, message }) => `${file}: ${message}`);
}

function imports(file: string, target: string): string[] {
  return problems({ [file]: `import { x } from "${target}";\n` });
}

describe("import directions", () => {
  test.each([
    ["main/contract/a.ts", "zod"],
    ["main/contract/a.ts", "@anthropic-ai/sdk/resources/messages"],
    ["main/contract/schemas/a.ts", "../ids.ts"],
    ["main/session/sqlite/a.ts", "../ledger.ts"],
    ["main/session/a.ts", "../contract/ids.ts"],
    ["main/session/a.ts", "../crash_points.ts"],
    ["main/harness/a.ts", "../session/ledger.ts"],
    ["main/harness/a.ts", "../sandbox/port.ts"],
    ["main/orchestration/a.ts", "../harness/step.ts"],
    ["main/api/a.ts", "../orchestration/port.ts"],
    ["main/compose.ts", "./session/sqlite/open.ts"],
    ["renderer/timeline/a.tsx", "../../main/contract/fold.ts"],
    ["electron/window/a.ts", "electron"],
    ["electron/app.ts", "../main/config.ts"],
    ["main/session/a.test.ts", "../orchestration/orchestrator.ts"],
    ["e2e/a.spec.ts", "../main/session/sqlite/open.ts"],
  ])("%s may import %s", (file, target) => {
    expect(imports(file, target)).toEqual([]);
  });

  test.each([
    ["main/contract/a.ts", "hono"],
    ["main/contract/a.ts", "node:fs"],
    ["main/contract/a.ts", "../session/ledger.ts"],
    ["main/session/a.ts", "../harness/step.ts"],
    ["main/session/a.ts", "electron"],
    ["main/harness/a.ts", "../session/sqlite/open.ts"],
    ["main/harness/a.ts", "../sandbox/embedded/provider.ts"],
    ["main/sandbox/a.ts", "../session/ledger.ts"],
    ["main/vault/a.ts", "../session/ledger.ts"],
    ["main/api/a.ts", "../session/sqlite/open.ts"],
    ["main/api/a.ts", "../harness/step.ts"],
    ["main/compose.ts", "../electron/app.ts"],
    ["renderer/a.tsx", "../main/session/ledger.ts"],
    ["renderer/a.tsx", "../electron/channels.ts"],
    ["renderer/a.tsx", "node:fs"],
    ["renderer/a.tsx", "electron"],
    ["electron/app.ts", "../main/session/ledger.ts"],
    ["electron/app.ts", "../renderer/app.tsx"],
  ])("%s must not import %s", (file, target) => {
    expect(imports(file, target)).toHaveLength(1);
  });

  test("every way to import is seen", () => {
    const text = [
      'import type { A } from "./a.ts";',
      "import {",
      "  b,",
      '} from "./b.ts";',
      'import "./c.ts";',
      'export { d } from "./d.ts";',
      'const e = await import("./e.ts");',
      'type F = import("./f.ts").F;',
    ].join("\n");
    expect(importsOf(text).sort()).toEqual(["./a.ts", "./b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts"]);
  });
});

describe("sizes", () => {
  test("400 lines pass, 401 fail, more than 250 are listed", () => {
    const lines = (count: number): string => "x;\n".repeat(count);
    expect(problems({ "main/a.ts": lines(400) })).toEqual([]);
    expect(problems({ "main/a.ts": lines(401) })).toHaveLength(1);
    expect(checkRules(new Map([["main/a.ts", lines(251)]])).long).toEqual(["main/a.ts (251)"]);
    expect(checkRules(new Map([["main/a.ts", lines(250)]])).long).toEqual([]);
  });

  test("a folder holds 14 code files, sub-folders and other files not counted", () => {
    const folder = (count: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`main/api/f${n}.ts`, ""]));
    expect(problems({ ...folder(14), "main/api/more/a.ts": "", "main/api/note.md": "" })).toEqual([]);
    expect(problems(folder(15))).toHaveLength(1);
  });
});

describe("names and texts", () => {
  test.each(["main/utils/a.ts", "main/api/helpers.ts", "renderer/common/a.tsx", "main/api/index.ts"])(
    "%s is refused",
    (file) => {
      expect(problems({ [file]: "" })).toHaveLength(1);
    },
  );

  test.each([
    ["export * from", 'export * from "./a.ts";\n'],
    ["a silenced check", "// @ts-ignore\n"],
    ["a silenced lint", "// biome-ignore lint: no\n"],
    ["an open end", "// TODO later\n"],
    ["raw channels", "ipcMain.handle();\n"],
  ])("%s is refused", (_name, text) => {
    expect(problems({ "electron/window/a.ts": text })).toHaveLength(1);
  });

  test("the channel wrappers use the raw channels", () => {
    expect(problems({ "electron/channels_main.ts": "ipcMain.handle();\n" })).toEqual([]);
  });
});
