/** What the fake engine's agents left behind: changes to bring back and outputs to download. */
import type { BroughtBack, OutputFile, RepositoryChanges } from "../../main/contract/local_api.ts";
import type { FakeSession } from "./fake_session.ts";

const PATCH = `diff --git a/src/ledger.ts b/src/ledger.ts
index 1111111..2222222 100644
--- a/src/ledger.ts
+++ b/src/ledger.ts
@@ -38,7 +38,8 @@ export class Ledger {
   }
 
   async flush(): Promise<void> {
-    await tick();
     const batch = queue.splice(0);
+    if (batch.length === 0) return;
+    await tick();
     this.commit(batch);
   }
 
diff --git a/docs/flaky.md b/docs/flaky.md
new file mode 100644
index 0000000..3333333
--- /dev/null
+++ b/docs/flaky.md
@@ -0,0 +1,2 @@
+# Why it was flaky
+The batch was taken after the timer.
`;

const SMALL: RepositoryChanges["files"] = [
  { path: "src/ledger.ts", status: "modified", additions: 2, deletions: 1, binary: false },
  { path: "docs/flaky.md", status: "added", additions: 2, deletions: 0, binary: false },
];

/** Lines of the generated file: more than anybody draws at once. */
const GENERATED = 20_000;

/** Twenty thousand generated lines, a binary file, a deletion, a hostile name and a minified line. */
function large(mount_path: string, path: string): RepositoryChanges {
  const body = Array.from(
    { length: GENERATED },
    (_value, n) => `+export const operation${n} = { id: ${n}, path: "/v2/resources/${n}", method: "GET" as const };`,
  );
  const minified = `+${"var a=1;".repeat(4000)}`;
  const patch = [
    PATCH.trimEnd(),
    "diff --git a/src/client/operations.ts b/src/client/operations.ts",
    "new file mode 100644",
    "index 0000000..4444444",
    "--- /dev/null",
    "+++ b/src/client/operations.ts",
    `@@ -0,0 +1,${GENERATED} @@`,
    ...body,
    "diff --git a/dist/client.min.js b/dist/client.min.js",
    "new file mode 100644",
    "index 0000000..5555555",
    "--- /dev/null",
    "+++ b/dist/client.min.js",
    "@@ -0,0 +1 @@",
    minified,
    "diff --git a/docs/logo.png b/docs/logo.png",
    "new file mode 100644",
    "index 0000000..6666666",
    "GIT binary patch",
    "literal 9",
    "QcmZPo000311ONa4",
    "",
    "diff --git a/src/old_client.ts b/src/old_client.ts",
    "deleted file mode 100644",
    "index 7777777..0000000",
    "--- a/src/old_client.ts",
    "+++ /dev/null",
    "@@ -1,2 +0,0 @@",
    "-export const client = null;",
    "-// nothing else",
    "",
  ].join("\n");
  const files: RepositoryChanges["files"] = [
    ...SMALL,
    { path: "src/client/operations.ts", status: "added", additions: GENERATED, deletions: 0, binary: false },
    { path: "dist/client.min.js", status: "added", additions: 1, deletions: 0, binary: false },
    { path: "docs/logo.png", status: "added", additions: 0, deletions: 0, binary: true },
    { path: "src/old_client.ts", status: "deleted", additions: 0, deletions: 2, binary: false },
  ];
  files.push({ path: "data/snapshot.json", status: "added", additions: 910_000, deletions: 0, binary: false });
  const note =
    'The patch leaves out large files: "data/snapshot.json". Bring the changes back as a branch to have them.';
  return { mount_path, path, patch, files, note };
}

function isLarge(session: FakeSession): boolean {
  return session.id.includes("delivered");
}

export function changesOf(session: FakeSession): RepositoryChanges[] {
  const [resource] = session.fold?.resources ?? [];
  if (resource?.type !== "local_repository" || session.fold?.sandbox?.made !== true) return [];
  const { mount_path, path } = resource;
  return [isLarge(session) ? large(mount_path, path) : { mount_path, path, patch: PATCH, files: SMALL }];
}

/** Why changes of a session cannot be brought back: one story shows it. */
export function refusalOf(session: FakeSession): string | null {
  if (!session.id.includes("replaced")) return null;
  return "The repository /home/ada/projects/importer is not there any more: nothing was written. Put it back at this path, or copy the patch and apply it where you want it.";
}

/** Makes the branch, and the event that tells of it. */
export function bringBack(session: FakeSession): BroughtBack[] {
  const before = session.log.events.filter(({ event }) => event.type === "longhaul.changes_brought_back").length;
  return changesOf(session).map(({ mount_path, path }) => {
    const branch = `longhaul/${session.id}${before === 0 ? "" : `-${before + 1}`}`;
    const commit = "9b2d11c05e6f7a8890b1c2d3e4f5061728394a5b";
    session.log.now = Date.now();
    session.log.add({ type: "longhaul.changes_brought_back", mount_path, path, branch, commit });
    return { mount_path, path, branch, commit, commits: 3 };
  });
}

const REPORT = "# Report\n\nEverything passes.\n";

export function outputsOf(session: FakeSession): OutputFile[] {
  if (!isLarge(session)) return [];
  const modified_at = new Date(session.log.now - 60_000).toISOString();
  return [
    { path: "report.md", size: REPORT.length, modified_at },
    { path: "coverage/lcov-report/src/client/operations.ts.html", size: 1_240_000, modified_at },
    { path: "client-2.4.0.tgz", size: 48_300_000, modified_at },
    { path: "gone.txt", size: 12, modified_at },
    { path: "invoice\u202Efdp.exe", size: 900, modified_at },
  ];
}

/** The bytes of an output; null when it is gone. */
export function outputBytes(path: string): Uint8Array | null {
  if (path === "report.md") return new TextEncoder().encode(REPORT);
  return path === "client-2.4.0.tgz" ? new Uint8Array(48_300_000) : null;
}
