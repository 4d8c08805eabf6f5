/** A real repository goes into a container with its history and comes back as a branch; the person's files are untouched. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BroughtBack, OutputFile, RepositoryChanges } from "../../main/contract/local_api.ts";
import type { Reply, ScriptRequest } from "../model_server/script.ts";
import { type ModelServer, startModelServer } from "../model_server/server.ts";
import { EXACT_CHANGE, editScript, expectExactChange, git, realRepository } from "../product/repository.ts";
import { type Product, removeDir } from "../product/serve.ts";
import { createSession, eventsOf, finalMessage, problemsIn, untilRests } from "../product/sessions.ts";
import { removeInstall, serveOnDocker } from "./product.ts";

const COMMIT = [
  "cd /workspace/*/ && git log --oneline | cat && git status --short && git diff --stat HEAD",
  "git add -A && git commit -qm 'Support urn:oid' && echo more >> NOTES.md",
  "node -e 'console.log(JSON.stringify({ ok: true }))' > /mnt/session/outputs/report.json",
  "git log -1 --format=%s",
].join("; ");

/** The agent of the embedded spec, which then commits, leaves something uncommitted, and writes an output. */
function script(request: ScriptRequest): Reply {
  if (request.turn === 4) return { content: [{ type: "tool_use", name: "bash", input: { command: COMMIT } }] };
  return editScript(request);
}

let model: ModelServer;
let product: Product;
beforeAll(async () => {
  model = await startModelServer({ script });
  product = await serveOnDocker({ model });
});
afterAll(async () => {
  await product.stop();
  await removeInstall(product.data_dir);
  await model.close();
  removeDir(product.data_dir);
});

test("in with its history and work in progress, out as commits on a branch of its own", async () => {
  const repo = realRepository();
  const index = (): string =>
    createHash("sha256")
      .update(readFileSync(join(repo, ".git/index")))
      .digest("hex");
  const state = (): string[] => [
    index(),
    readFileSync(join(repo, ".git/HEAD"), "utf8"),
    readFileSync(join(repo, ".git/config"), "utf8"),
    git(repo, "rev-parse", "HEAD", "main"),
    git(repo, "stash", "list"),
    readFileSync(join(repo, "README.md"), "utf8"),
  ];
  const before = state();
  const id = await createSession(product, {
    text: "Support the scheme urn:oid.",
    resources: [{ type: "local_repository", path: repo }],
  });
  await untilRests(product, id);
  const events = await eventsOf(product, id);
  expect(problemsIn(events)).toEqual([]);
  expect(finalMessage(events)).toContain("Support urn:oid");
  const log = events.flatMap(({ event }) =>
    event.type === "agent.tool_result" ? [JSON.stringify(event.content)] : [],
  );
  expect(log.at(-1)).toContain("Import the package");

  const { data } = await product.local<{ data: RepositoryChanges[] }>(`/sessions/${id}/changes`);
  expect(data[0]?.files).toEqual([
    { path: "NOTES.md", status: "added", additions: 1, deletions: 0, binary: false },
    { path: "lib/schemes.js", status: "modified", additions: 1, deletions: 1, binary: false },
  ]);

  const back = () =>
    product.local<{ data: BroughtBack[] }>(`/sessions/${id}/changes/bring_back`, { method: "POST", body: "{}" });
  const [brought] = (await back()).data;
  expect(brought).toMatchObject({ path: repo, commits: 2 });
  const branch = brought?.branch ?? "";
  expect(branch).toMatch(/^longhaul\//);
  expect(git(repo, "rev-parse", branch).trim()).toBe(brought?.commit);
  expect(git(repo, "log", "--format=%s", branch)).toMatch(/Support urn:oid[\s\S]*Import the package/);
  expect(git(repo, "show", `${branch}:lib/schemes.js`)).toContain("urn:oid");
  expect(git(repo, "show", `${branch}:NOTES.md`)).toBe("more\n");
  expect(state()).toEqual(before);
  expect(git(repo, "fsck", "--no-dangling")).toBe("");
  expect((await back()).data[0]).toMatchObject({ branch, commit: brought?.commit });
  expect((await eventsOf(product, id)).some(({ event }) => event.type === "longhaul.changes_brought_back")).toBe(true);

  const outputs = await product.local<{ data: OutputFile[] }>(`/sessions/${id}/outputs`);
  expect(outputs.data.map(({ path, size }) => [path, size])).toEqual([["report.json", 12]]);
  expect(await product.local<object>(`/sessions/${id}/outputs/report.json`)).toEqual({ ok: true });

  const patch = data[0]?.patch ?? "";
  const { line, changed } = expectExactChange(repo, patch);
  expect(line).toBe(EXACT_CHANGE.line);
  expect(changed.sort()).toEqual([" M lib/schemes.js", "?? NOTES.md"]);
});
