import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parsePatch } from "./patch.ts";

const PATCH = `diff --git a/src/ledger.ts b/src/ledger.ts
index 1111111..2222222 100644
--- a/src/ledger.ts
+++ b/src/ledger.ts
@@ -10,4 +10,5 @@ export function append() {
 const a = 1;
-const b = 2;
+const b = 3;
+const c = 4;
 return a;
 }
\\ No newline at end of file
diff --git a/new file.txt b/new file.txt
new file mode 100644
index 0000000..3333333
--- /dev/null
+++ b/new file.txt
@@ -0,0 +1 @@
+--- looks like a header
diff --git a/logo.png b/logo.png
index 4444444..5555555 100644
Binary files a/logo.png and b/logo.png differ
`;

describe("parsePatch", () => {
  const files = parsePatch(PATCH);

  it("names the files", () =>
    expect(files.map((file) => file.path)).toEqual(["src/ledger.ts", "new file.txt", "logo.png"]));

  it("numbers the lines on both sides", () => {
    expect(files[0]?.hunks[0]?.lines.map((line) => [line.kind, line.before, line.after])).toEqual([
      ["context", 10, 10],
      ["removed", 11, null],
      ["added", null, 11],
      ["added", null, 12],
      ["context", 12, 13],
      ["context", 13, 14],
      ["note", null, null],
    ]);
  });

  it("takes a content line that looks like a header as content", () => {
    expect(files[1]?.hunks[0]?.lines).toEqual([
      { kind: "added", text: "-- looks like a header".padStart(23, "-"), before: null, after: 1 },
    ]);
  });

  it("keeps what has no hunks as notes", () =>
    expect(files[2]?.notes).toEqual(["Binary files a/logo.png and b/logo.png differ"]));

  it("reads quoted names", () => {
    const [file] = parsePatch('diff --git "a/\\303\\274.txt" "b/\\303\\274.txt"\nnew file mode 100644\n');
    expect(file?.path).toBe("ü.txt");
  });

  it("never throws", () => {
    const line = fc.constantFrom(
      "diff --git a/x b/x",
      "@@ -1,2 +3,4 @@",
      "+a",
      "-b",
      " c",
      "\\ x",
      "--- a/x",
      "",
      "\u0000",
    );
    fc.assert(fc.property(fc.array(line), (lines) => Array.isArray(parsePatch(lines.join("\n")))));
  });
});
