import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import fs, { mkdtemp, rm } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { LocalRepositoryResource } from "../../../contract/events.ts";
import { MAX_OUTPUTS } from "../../../contract/local_api.ts";
import { BringBackRefused, type SandboxProvider } from "../../port.ts";
import { hooksOff } from "../../resources/history/bring_back.ts";
import { provisionRequest } from "../../testing/bench.ts";
import { makePipe } from "../../testing/processes.ts";
import { fingerprint, gitIn, put, repository } from "../../testing/repositories.ts";
import { sandboxLayout } from "../layout.ts";
import { embeddedProvider } from "../provider.ts";

const session = "sesn_results";
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let dataDir: string;
let repo: string;
let provider: SandboxProvider;
let root: string;

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "longhaul-results-"));
  repo = join(dataDir, "my repo");
  provider = embeddedProvider({ dataDir, hostEntry: join(import.meta.dirname, "../host.ts") });
  root = sandboxLayout(dataDir, session).root;
});
afterEach(async () => {
  await provider.destroy(session);
  await provider.close();
  await rm(dataDir, { recursive: true, force: true });
});

const resource = (more: Partial<LocalRepositoryResource> = {}): LocalRepositoryResource => ({
  id: "sesrsc_repo",
  type: "local_repository",
  path: repo,
  mount_path: "/workspace/repo",
  checkout: null,
  include_uncommitted: true,
  created_at: "",
  updated_at: "",
  ...more,
});
const enter = (...resources: LocalRepositoryResource[]) => provider.provision(provisionRequest(session, { resources }));
const bringBack = (one = resource()) => provider.bringBack(session, [one], null);
function guarded(): Record<string, string> {
  const all = fingerprint(repo, true);
  for (const key of Object.keys(all)) {
    if (/^\.git\/(objects|refs\/heads\/longhaul|logs\/refs\/heads\/longhaul)\//.test(key)) delete all[key];
  }
  return all;
}

test("work comes back as a commit on what entered; the person's files are not touched", async () => {
  repository(repo, { "a.txt": "a\n", "gone.txt": "x\n", "dir/b.txt": "b\n", "crlf.txt": "1\r\n" });
  put(repo, "a.txt", "mine\n");
  put(repo, "mine.txt", "untracked\n");
  symlinkSync("/etc/passwd", join(repo, "out"));
  const before = guarded();
  await enter(resource());
  expect(await bringBack()).toEqual([]);
  const tree = join(root, "workspace/repo");
  writeFileSync(join(tree, "a.txt"), "agent\n");
  rmSync(join(tree, "gone.txt"));
  rmSync(join(tree, "dir"), { recursive: true });
  writeFileSync(join(tree, "dir"), "a file now\n");
  const [back] = await bringBack();
  expect(back).toMatchObject({ mount_path: "/workspace/repo", path: repo, branch: "longhaul/results", commits: 1 });
  const branch = back?.branch ?? "";
  expect(gitIn(repo, "log", "--format=%s", branch)).toMatch(/^Work of the agent\nUncommitted work of .*\nfirst\n$/);
  expect(gitIn(repo, "diff", "--name-status", `${branch}~1`, branch)).toBe(
    "M\ta.txt\nA\tdir\nD\tdir/b.txt\nD\tgone.txt\n",
  );
  expect(gitIn(repo, "ls-tree", "--name-only", branch)).toBe("a.txt\ncrlf.txt\ndir\nmine.txt\nout\n");
  expect(await bringBack()).toEqual([back]);
  expect(guarded()).toEqual(before);
  gitIn(repo, "fsck", "--strict");

  // The first branch is not the beginning of the next state, so that is a second one.
  writeFileSync(join(tree, "a.txt"), "again\n");
  expect((await bringBack())[0]?.branch).toBe("longhaul/results-2");
  expect(guarded()).toEqual(before);
});

test("a branch of that name that is somebody else's, or checked out, is left alone", async () => {
  repository(repo, { "a.txt": "a\n" });
  gitIn(repo, "branch", "longhaul/results");
  gitIn(repo, "symbolic-ref", "refs/heads/longhaul/results-2", "refs/heads/main");
  await enter(resource());
  writeFileSync(join(root, "workspace/repo/a.txt"), "agent\n");
  const main = gitIn(repo, "rev-parse", "main");
  const [back] = await bringBack();
  expect(back?.branch).toBe("longhaul/results-3");
  expect(gitIn(repo, "rev-parse", "main", "longhaul/results", "longhaul/results-2")).toBe(main.repeat(3));
  gitIn(repo, "worktree", "add", "-q", join(dataDir, "linked"), back?.branch ?? "");
  expect(await bringBack()).toEqual([back]);
  writeFileSync(join(root, "workspace/repo/a.txt"), "more\n");
  expect((await bringBack())[0]?.branch).toBe("longhaul/results-4");
});

test.each<[string, () => void, RegExp]>([
  ["moved away", () => renameSync(repo, `${repo}.moved`), /does not exist/],
  [
    "another repository",
    () => {
      rmSync(repo, { recursive: true });
      repository(repo, { "other.txt": "x" });
      gitIn(repo, "commit", "-q", "--amend", "-m", "other");
    },
    /no longer has the commit|bad object|not a valid|fatal/,
  ],
  ["a branch named longhaul", () => gitIn(repo, "branch", "longhaul"), /git branch -m longhaul/],
  [
    "a lock on the branch",
    () => put(repo, ".git/refs/heads/longhaul/results.lock", ""),
    /left a lock behind.*remove the lock/,
  ],
  [
    "a file in the place of its objects",
    () => {
      renameSync(join(repo, ".git/objects"), join(repo, ".git/away"));
      writeFileSync(join(repo, ".git/objects"), "");
    },
    /cannot be brought back/,
  ],
])("refused with the reason: %s", async (_, damage, reason) => {
  repository(repo, { "a.txt": "a\n" });
  await enter(resource());
  writeFileSync(join(root, "workspace/repo/a.txt"), "agent\n");
  damage();
  const refused = bringBack();
  await expect(refused).rejects.toBeInstanceOf(BringBackRefused);
  await expect(refused).rejects.toThrow(reason);
  await expect(refused).rejects.toThrow(/my repo/);
});

test("a mount path that is none is refused; nothing of the repository is run", async () => {
  repository(repo, { "a.txt": "a\n" });
  const canary = join(dataDir, "canary");
  for (const name of ["reference-transaction", "post-commit", "update", "post-update", "pre-receive"]) {
    put(repo, `.git/hooks/${name}`, `#!/bin/sh\ntouch '${canary}'\n`, 0o755);
  }
  await enter(resource());
  await expect(provider.bringBack(session, [resource()], "/workspace/x")).rejects.toThrow(/It has: \/workspace\/repo/);
  writeFileSync(join(root, "workspace/repo/a.txt"), "agent\n");
  gitIn(repo, "config", "core.fsmonitor", `touch '${canary}'`);
  gitIn(repo, "config", "hook.a=b.c.command", `touch '${canary}'`);
  gitIn(repo, "config", "hook.a=b.c.event", "reference-transaction");
  // Only newer versions of git would run it.
  expect(await hooksOff(repo)).toEqual({
    GIT_CONFIG_COUNT: "1",
    GIT_CONFIG_KEY_0: "hook.a=b.c.enabled",
    GIT_CONFIG_VALUE_0: "false",
  });
  const before = guarded();
  await bringBack();
  expect(Object.keys(fingerprint(dataDir))).not.toContain("canary");
  expect(guarded()).toEqual(before);
});

test("outputs: regular files only, links lead nowhere", async () => {
  expect(await provider.outputs(session)).toEqual([]);
  expect(await provider.readOutput(session, "a")).toBeNull();
  await enter();
  const outputs = join(root, "mnt/session/outputs");
  mkdirSync(join(outputs, "deep/er"), { recursive: true });
  writeFileSync(join(outputs, "deep/er/x.txt"), "hello");
  writeFileSync(join(outputs, "new\nline"), "x");
  writeFileSync(join(dataDir, "secret.txt"), "secret");
  symlinkSync(join(dataDir, "secret.txt"), join(outputs, "link"));
  symlinkSync(dataDir, join(outputs, "folder"));
  symlinkSync("deep", join(outputs, "inner"));
  makePipe(join(outputs, "pipe"));
  linkSync(join(outputs, "deep/er/x.txt"), join(outputs, "hard"));
  writeFileSync(join(outputs, "big"), "");
  truncateSync(join(outputs, "big"), 2 ** 32);
  const list = await provider.outputs(session);
  expect(list.map(({ path, size }) => [path, size])).toEqual([
    ["big", 2 ** 32],
    ["deep/er/x.txt", 5],
    ["hard", 5],
  ]);
  const read = async (path: string): Promise<string | null> => {
    const found = await provider.readOutput(session, path);
    return found === null ? null : Buffer.concat(await found.stream.toArray()).toString();
  };
  expect(await read("deep/er/x.txt")).toBe("hello");
  const refused = [
    "link",
    "folder/secret.txt",
    "inner/er/x.txt",
    "pipe",
    "deep",
    "../outputs/hard",
    "new\nline",
    "/hard",
    "",
    "a\0b",
  ];
  for (const path of refused) expect([path, await read(path)]).toEqual([path, null]);
  for (const [name, text] of Object.entries({ empty: "", short: "ab" })) {
    writeFileSync(join(outputs, name), text);
    const found = await provider.readOutput(session, name);
    writeFileSync(join(outputs, name), `${text} and what came later`);
    expect([name, Buffer.concat((await found?.stream.toArray()) ?? []).toString()]).toEqual([name, text]);
  }
  rmSync(outputs, { recursive: true });
  symlinkSync(dataDir, outputs);
  expect([await provider.outputs(session), await read("secret.txt")]).toEqual([[], null]);
});

test("very many outputs are a bounded list", async () => {
  await enter();
  const outputs = join(root, "mnt/session/outputs");
  for (let i = 0; i < MAX_OUTPUTS + 50; i += 1) writeFileSync(join(outputs, `f${i}`), "");
  const looked = vi.spyOn(fs, "lstat");
  syncBuiltinESMExports();
  expect(await provider.outputs(session)).toHaveLength(MAX_OUTPUTS + 1);
  expect(looked.mock.calls.length).toBeLessThan(MAX_OUTPUTS + 10);
  looked.mockRestore();
  syncBuiltinESMExports();
});
