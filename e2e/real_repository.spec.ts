/** A session on a real repository ends with a patch that applies to the original and contains exactly the change. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RepositoryChanges } from "../main/contract/local_api.ts";
import { type ModelServer, startModelServer } from "./model_server/server.ts";
import { EXACT_CHANGE, editScript, expectExactChange, git, realRepository } from "./product/repository.ts";
import { type Product, removeDir, serve } from "./product/serve.ts";
import { createSession, eventsOf, finalMessage, problemsIn, untilRests } from "./product/sessions.ts";

let model: ModelServer;
let product: Product;
beforeAll(async () => {
  model = await startModelServer({ script: editScript });
  product = await serve({ model });
});
afterAll(async () => {
  await product.stop();
  await model.close();
  removeDir(product.data_dir);
});

test("the agent edits a copy; the patch is the change and nothing else; the user's repository is untouched", async () => {
  const repo = realRepository();
  const before = [git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD"), git(repo, "diff")];
  const id = await createSession(product, {
    text: "Support the scheme urn:oid.",
    resources: [{ type: "local_repository", path: repo }],
  });
  await untilRests(product, id);
  const events = await eventsOf(product, id);
  expect(problemsIn(events)).toEqual([]);
  expect(finalMessage(events)).toContain("Work in progress.");
  expect(model.requests.filter((request) => request.rejected !== null)).toEqual([]);

  const { data } = await product.local<{ data: RepositoryChanges[] }>(`/sessions/${id}/changes`);
  expect(data).toHaveLength(1);
  expect(data[0]?.files).toEqual([
    { path: "lib/schemes.js", status: "modified", additions: 1, deletions: 1, binary: false },
  ]);
  expect([git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD"), git(repo, "diff")]).toEqual(before);
  expect(expectExactChange(repo, data[0]?.patch ?? "")).toEqual(EXACT_CHANGE);
});
