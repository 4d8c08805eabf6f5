import { describe, expect, it } from "vitest";
import type { ChangedFile } from "../../main/contract/local_api.ts";
import { buildTimeline } from "../timeline/append.ts";
import { LogBuilder } from "../timeline/testing/log_builder.ts";
import { FlatDiff, foldedAtFirst } from "./flat_diff.ts";
import { lastBranch } from "./last_branch.ts";
import { parseSection, sectionsOf } from "./sections.ts";

const PATCH = `diff --git a/a.ts b/a.ts
index 1..2 100644
--- a/a.ts
+++ b/a.ts
@@ -1,2 +1,2 @@
-old
+diff --git a/fake b/fake
 same
diff --git "a/caf\\303\\251.txt" "b/caf\\303\\251.txt"
new file mode 100644
--- /dev/null
+++ "b/caf\\303\\251.txt"
@@ -0,0 +1 @@
+x
diff --git a/logo.png b/logo.png
index 1..2 100644
GIT binary patch
literal 9
QcmZPo000311ONa4

diff --git a/gone.ts b/gone.ts
deleted file mode 100644
--- a/gone.ts
+++ /dev/null
@@ -1 +0,0 @@
-x
`;

const file = (path: string, more: Partial<ChangedFile> = {}): ChangedFile => ({
  path,
  status: "modified",
  additions: 1,
  deletions: 1,
  binary: false,
  ...more,
});

describe("a patch of many files", () => {
  it("is cut into its files by name, whatever their lines look like", () => {
    const sections = sectionsOf(PATCH);
    expect([...sections.keys()]).toEqual(["a.ts", "café.txt", "logo.png", "gone.ts"]);
    expect([...sections.values()].join("")).toBe(PATCH);
    expect(parseSection(sections.get("a.ts"))?.hunks[0]?.lines).toHaveLength(3);
    expect(parseSection(sections.get("logo.png"))).toBeNull();
    expect(sectionsOf("")).toEqual(new Map());
    expect(sectionsOf("nothing of this kind")).toEqual(new Map());
  });

  it("becomes one list; what is folded and what has no text take one line", () => {
    const files = [file("a.ts"), file("logo.png", { binary: true }), file("missing.ts"), file("gone.ts")];
    const diff = new FlatDiff(files, sectionsOf(PATCH));
    const items = diff.items(new Set(["gone.ts"]));
    expect(items.map((item) => item.kind)).toEqual([
      ..."file hunk line line line".split(" "),
      "file",
      "note",
      "file",
      "note",
      "file",
    ]);
    expect(new Set(items.map((item) => item.id)).size).toBe(items.length);
  });

  it("of a hundred thousand lines is flattened at once, and what comes after much begins folded", () => {
    const lines = 100_000;
    const big = `diff --git a/big.ts b/big.ts\n--- a/big.ts\n+++ b/big.ts\n@@ -0,0 +1,${lines} @@\n${"+x\n".repeat(lines)}`;
    const files = [file("a.ts"), file("big.ts", { additions: lines }), file("c.ts")];
    expect([...foldedAtFirst(files)]).toEqual(["big.ts", "c.ts"]);
    expect(new FlatDiff([file("big.ts")], sectionsOf(big)).items(new Set())).toHaveLength(lines + 2);
  });
});

describe("changes that were brought back", () => {
  const MOUNT = "/workspace/app";

  function brought(builder: LogBuilder, branch: string, mount_path = MOUNT): void {
    builder.add({ type: "longhaul.changes_brought_back", mount_path, path: "/home/ada/app", branch, commit: "abc" });
  }

  function calls(builder: LogBuilder, ...names: string[]): void {
    const ids = builder.answer(builder.request(), { calls: names.map((name) => ({ name, input: {} })) });
    for (const id of ids) builder.start(id).wait(5).result(id, "ok");
  }

  it("are the newest branch of that repository, and the calls since that may have changed files", () => {
    const builder = new LogBuilder("sesn_000001", 0).create().turn("go");
    calls(builder, "bash", "edit");
    expect(lastBranch(buildTimeline(builder.events), MOUNT)).toBeNull();
    brought(builder, "longhaul/one");
    brought(builder, "longhaul/two");
    brought(builder, "longhaul/other", "/workspace/other");
    calls(builder, "bash", "read", "grep", "write", "glob");
    expect(lastBranch(buildTimeline(builder.events), MOUNT)).toMatchObject({ name: "longhaul/two", callsSince: 2 });
  });

  it("do not hold what a command does that runs on", () => {
    const builder = new LogBuilder("sesn_000001", 0).create().turn("go");
    const [call = ""] = builder.answer(builder.request(), { calls: [{ name: "bash", input: {} }] });
    builder.start(call).wait(5);
    brought(builder, "longhaul/one");
    builder.wait(5).result(call, "ok");
    expect(lastBranch(buildTimeline(builder.events), MOUNT)?.callsSince).toBe(1);
  });
});
