import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { LocalRepositoryResource } from "../../../contract/events.ts";
import { gitIn, put, repository } from "../../testing/repositories.ts";
import { repositoryChanges } from "./changes.ts";
import { type BareContainer, bareContainer, place } from "./testing/bare_container.ts";

let box: BareContainer;
let folder: string;
let repo: string;
let dataDir: string;
let number = 0;
const session = "sesn_test0123456789";

beforeAll(async () => {
  box = await bareContainer();
});
afterAll(() => box[Symbol.asyncDispose]());
beforeEach(() => {
  number += 1;
  folder = mkdtempSync(join(tmpdir(), "longhaul-rewritten-"));
  repo = join(folder, "repo");
  dataDir = join(folder, "data");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const resource = (): LocalRepositoryResource => ({
  id: `sesrsc_${number}`,
  type: "local_repository",
  path: repo,
  mount_path: `/workspace/r${number}`,
  checkout: null,
  include_uncommitted: true,
  created_at: "",
  updated_at: "",
});
const inside = (command: string): Promise<string> => box.sh(`cd /workspace/r${number} && ${command}`);
const enter = () => place(box.container, dataDir, [resource()]);
const changes = () => repositoryChanges(box.container, dataDir, session, [resource()]);

/** Two commits and uncommitted work. */
function ownWork(): void {
  repository(repo, { "a.txt": "a\n" });
  put(repo, "a.txt", "second\n");
  gitIn(repo, "commit", "-qam", "second");
  put(repo, "a.txt", "mine\n");
}

/** Answers as git does, except where it would name the commit or the one below it. */
const impostor = (commit: string): string => `#!/bin/sh
case "$*" in
  *commit-tree*) echo "${commit}" ;;
  *update-ref*|*rev-list*) ;;
  *) exec /usr/bin/git "$@" ;;
esac
`;

test("a program of the agent in the place of git names no file of this disk", async () => {
  ownWork();
  await enter();
  const precious = join(folder, "precious");
  writeFileSync(precious, "precious");
  const fake = Buffer.from(impostor(`--output=${precious}`)).toString("base64");
  await inside(
    `echo b > b.txt && mkdir -p ~/.local/bin && echo ${fake} | base64 -d > ~/.local/bin/git && chmod +x ~/.local/bin/git`,
  );
  try {
    const [found] = await changes().catch(() => []);
    expect(readFileSync(precious, "utf8")).toBe("precious");
    expect(found?.note).toMatch(/^Only the files were compared/);
    expect(found?.files).toMatchObject([{ path: "b.txt", status: "added" }]);
  } finally {
    await box.sh("rm ~/.local/bin/git");
  }
});
