import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { LocalRepositoryResource } from "../../../contract/events.ts";
import { gitIn, put, repository } from "../../testing/repositories.ts";
import { bringBackChanges, repositoryChanges } from "./changes.ts";
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
const bringBack = () => bringBackChanges(box.container, dataDir, session, [resource()], null);

/** Two commits and uncommitted work. */
function ownWork(): void {
  repository(repo, { "a.txt": "a\n" });
  put(repo, "a.txt", "second\n");
  gitIn(repo, "commit", "-qam", "second");
  put(repo, "a.txt", "mine\n");
}

describe("a history that the agent rewrote", () => {
  test.each([
    ["committed on top", "echo b > b && git add b && git commit -qm b", 1],
    [
      "dropped the uncommitted work and committed",
      "git reset -q --hard HEAD~1 && echo b > b && git add b && git commit -qm b",
      1,
    ],
    ["went back before where it began", "git reset -q --hard HEAD~2", 0],
    ["amended the uncommitted work", "echo b > b && git add b && git commit -q --amend -m mine", 1],
    [
      "switched to a branch and deleted the first one",
      "git checkout -q -b other && git branch -qD main && echo b > b",
      1,
    ],
    ["began a history of its own", "git checkout -q --orphan new && git commit -qm all", 1],
  ])("%s: the branch and the number of its commits are right", async (_, work, commits) => {
    ownWork();
    await enter();
    await inside(work);
    const [back] = await bringBack();
    expect(back?.commits).toBe(commits);
    const tree = await inside("cat a.txt");
    expect(gitIn(repo, "show", `${back?.branch}:a.txt`)).toBe(tree);
    gitIn(repo, "fsck", "--strict");
  });

  test("a branch without a commit: its files are compared, and the reason is the right one", async () => {
    ownWork();
    await enter();
    await inside("git checkout -q --orphan empty && echo b > b.txt");
    const [found] = await changes();
    expect(found?.files).toMatchObject([{ path: "b.txt", status: "added" }]);
    expect(found?.note).toMatch(/the branch that is checked out has no commit/);
  });
});

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

test("a container that stands still for a checkpoint is waited for", async () => {
  ownWork();
  await enter();
  await inside("echo b > b.txt");
  const made = box.container.docker.getContainer(box.container.id);
  await made.pause();
  const later = setTimeout(() => void made.unpause(), 1500);
  try {
    expect((await changes())[0]?.files).toMatchObject([{ path: "b.txt", status: "added" }]);
  } finally {
    clearTimeout(later);
    await made.unpause().catch(() => undefined);
  }
});
