import { randomBytes } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { fingerprint, gitIn, put, repository } from "../../testing/repositories.ts";
import { GitFailure } from "../git.ts";
import { RepositoryRefused } from "../repository.ts";
import { branchName, bringBack } from "./bring_back.ts";
import { bundleHeader, importBundle } from "./bundle.ts";
import { recordEntry } from "./entry.ts";
import { commitFiles, type IncomingCopy, type IncomingFile } from "./file_commit.ts";
import { askStore, createStore, readEntry, type Store, storeAt, storeOf } from "./store.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: string;
let repo: string;
let store: Store;
const whole = { checkout: null, include_uncommitted: true } as const;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "longhaul-history-"));
  repo = join(folder, "repo");
  store = storeAt(join(folder, "store"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("what enters", () => {
  test("a hostile repository runs nothing and is not changed", async () => {
    repository(repo, { "a.txt": "a\n", "b.bin": "b\n", ".gitattributes": "* filter=evil diff=evil\n" });
    const canary = join(folder, "canary");
    const script = join(repo, ".git/evil.sh");
    put(repo, ".git/evil.sh", `#!/bin/sh\ntouch '${canary}'\ncat\n`, 0o755);
    for (const hook of ["post-index-change", "reference-transaction", "post-checkout", "pre-commit"]) {
      put(repo, `.git/hooks/${hook}`, `#!/bin/sh\ntouch '${canary}'\n`, 0o755);
    }
    for (const key of [
      "core.fsmonitor",
      "filter.evil.clean",
      "filter.evil.process",
      "diff.evil.textconv",
      "core.pager",
    ]) {
      gitIn(repo, "config", key, script);
    }
    gitIn(repo, "config", "core.worktree", "/etc");
    put(repo, "a.txt", "c\n");
    put(repo, "new.txt", "n\n");
    rmSync(canary, { force: true });
    const before = fingerprint(repo, true);
    const entry = await recordEntry({ path: repo, ...whole }, store, true);
    expect(existsSync(canary)).toBe(false);
    expect(fingerprint(repo, true)).toEqual(before);
    expect(await askStore(store, ["diff-tree", "-r", "--name-status", entry.base ?? "", entry.commit])).toBe(
      "M\ta.txt\nA\tnew.txt",
    );
    // The trap is real: git as everybody runs it steps into it.
    gitIn(repo, "-c", `core.worktree=${repo}`, "status");
    expect(existsSync(canary)).toBe(true);
  });

  test("nothing uncommitted: no commit of ours; an unfinished merge and staged deletions enter as the files are", async () => {
    repository(repo, { "a.txt": "a\n", "b.txt": "b\n" });
    const clean = await recordEntry({ path: repo, ...whole }, store, true);
    expect([clean.commit, clean.branch]).toEqual([gitIn(repo, "rev-parse", "HEAD").trim(), "main"]);
    expect(await readEntry(store)).toMatchObject({ commit: clean.commit, base: clean.commit });
    gitIn(repo, "checkout", "-q", "-b", "side");
    put(repo, "a.txt", "side\n");
    gitIn(repo, "commit", "-q", "-am", "side");
    gitIn(repo, "checkout", "-q", "main");
    put(repo, "a.txt", "main\n");
    gitIn(repo, "commit", "-q", "-am", "main");
    expect(() => gitIn(repo, "merge", "-q", "side")).toThrow();
    gitIn(repo, "rm", "-q", "b.txt");
    const before = fingerprint(repo, true);
    const merging = await recordEntry({ path: repo, ...whole }, store, true);
    expect(await askStore(store, ["show", `${merging.commit}:a.txt`])).toContain("<<<<<<<");
    expect(await askStore(store, ["ls-tree", "--name-only", merging.commit])).toBe("a.txt");
    expect(fingerprint(repo, true)).toEqual(before);
  });

  test("a folder of the index that is a link now is not followed", async () => {
    mkdirSync(join(folder, "elsewhere"));
    writeFileSync(join(folder, "elsewhere/b.txt"), "secret\n");
    repository(repo, { "dir/b.txt": "b\n" });
    rmSync(join(repo, "dir"), { recursive: true });
    symlinkSync(join(folder, "elsewhere"), join(repo, "dir"));
    const { commit } = await recordEntry({ path: repo, ...whole }, store, true);
    expect(await askStore(store, ["ls-tree", "-r", commit])).toMatch(/^120000 blob \w+\tdir$/);
  });

  test("too much is refused while little of it was read, and leaves nothing", async () => {
    repository(repo, { "a.txt": "a\n", "big.bin": randomBytes(3_000_000) });
    await expect(recordEntry({ path: repo, ...whole }, store, true, 1_000_000)).rejects.toThrow(
      /more than 2 GB of history.*git clone --depth/,
    );
    put(repo, "huge.bin", "");
    truncateSync(join(repo, "huge.bin"), 3 * 1024 ** 3);
    const refused = recordEntry({ path: repo, ...whole }, store, true);
    await expect(refused).rejects.toBeInstanceOf(RepositoryRefused);
    await expect(refused).rejects.toThrow(/more than 2 GB of uncommitted files.*\.gitignore/);
    expect(existsSync(store.dir)).toBe(false);
    expect(readdirSync(folder).sort()).toEqual(["repo"]);
  });

  test("missing objects and an empty repository without its files are refused", async () => {
    repository(repo, { "a.txt": "a\n" });
    const id = gitIn(repo, "rev-parse", "HEAD:a.txt").trim();
    rmSync(join(repo, ".git/objects", id.slice(0, 2), id.slice(2)));
    await expect(recordEntry({ path: repo, ...whole }, store, true)).rejects.toThrow(/lacks objects.*git fsck/);
    const empty = join(folder, "empty");
    mkdirSync(empty);
    gitIn(empty, "init", "-q");
    await expect(recordEntry({ path: empty, checkout: null, include_uncommitted: false }, store, true)).rejects.toThrow(
      /no commit yet/,
    );
    expect((await recordEntry({ path: empty, ...whole }, store, true)).base).toBeNull();
  });
});

describe("a bundle from outside", () => {
  async function* chunksOf(bytes: Buffer, size = 1000): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
  }
  const take = (bytes: Buffer, limit = 1e6) => importBundle(store, chunksOf(bytes), "refs/longhaul/tip", limit);

  test.each<[string, (good: Buffer) => Buffer]>([
    ["nothing", () => Buffer.alloc(0)],
    ["no bundle", () => Buffer.from("hello\n\nworld")],
    ["an endless header", () => Buffer.alloc(200_000, "x")],
    [
      "a bundle without the ref",
      (good) => Buffer.from(good.toString("latin1").replace("longhaul/tip", "longhaul/top"), "latin1"),
    ],
    ["half of it", (good) => good.subarray(0, good.length - 100)],
    [
      "a flipped bit",
      (good) => {
        const bad = Buffer.from(good);
        bad[bad.length - 60] = (bad[bad.length - 60] ?? 0) ^ 1;
        return bad;
      },
    ],
    [
      "a pack that is none",
      (good) => Buffer.concat([good.subarray(0, good.indexOf("\n\n") + 2), randomBytes(3_000_000)]),
    ],
  ])("%s is refused at once", async (_, spoil) => {
    repository(repo, { "a.txt": "a\n", "r.bin": randomBytes(5000) });
    gitIn(repo, "update-ref", "refs/longhaul/tip", "HEAD");
    gitIn(repo, "bundle", "create", "-q", join(folder, "good"), "refs/longhaul/tip");
    const { readFileSync } = await import("node:fs");
    const good = readFileSync(join(folder, "good"));
    await createStore(store, "sha1");
    await expect(take(spoil(good))).rejects.toBeInstanceOf(GitFailure);
    await expect(take(good, 2000)).rejects.toThrow(/maximum allowed size|exceeds/i);
    expect(await take(good)).toBe(gitIn(repo, "rev-parse", "HEAD").trim());
  });

  test("a sender that breaks off is an error, and headers are git's own", async () => {
    await createStore(store, "sha1");
    const broken = async function* (): AsyncGenerator<Buffer> {
      yield bundleHeader("sha1", [{ id: "a".repeat(40), ref: "refs/longhaul/tip" }]);
      throw new Error("the engine is gone");
    };
    await expect(importBundle(store, broken(), "refs/longhaul/tip", 1e6)).rejects.toThrow("the engine is gone");
    expect(bundleHeader("sha256", []).toString()).toBe("# v3 git bundle\n@object-format=sha256\n\n");
  });
});

test("files become a commit: names, modes, links, copies; ignored ones are left out", async () => {
  repository(repo, { "keep.log": "k\n", "sub/.gitignore": "*.tmp\n", "gone.txt": "g\n" });
  const entry = await recordEntry({ path: repo, ...whole }, store, true);
  const file = (path: string, text: string, kind: IncomingFile["kind"] = "file"): IncomingFile => {
    const bytes = Buffer.from(text);
    return {
      path,
      kind,
      size: bytes.length,
      body: (async function* () {
        yield bytes;
      })(),
    };
  };
  const names = ["new\nline", 'quo"te', "back\\slash", "-rf", "ünï", " "];
  const files = async function* (): AsyncGenerator<IncomingFile | IncomingCopy> {
    yield* [file(".gitignore", "*.log\n"), file("keep.log", "changed\n"), file("other.log", "x")];
    yield* [file("sub/.gitignore", "*.tmp\n"), file("sub/x.tmp", "x"), file("x.tmp", "not ignored here")];
    yield* [
      file("run.sh", "x", "executable"),
      file("link", "/etc/passwd", "link"),
      { path: "copy", kind: "copy", of: "run.sh" },
    ];
    for (const name of names) yield file(name, name);
  };
  const commit = await commitFiles(store, entry, files());
  const listing = await askStore(store, ["-c", "core.quotePath=false", "ls-tree", "-r", "-z", commit]);
  expect(
    listing
      .split("\0")
      .map((line) => line.replace(/ blob \w+\t/, " "))
      .sort(),
  ).toEqual(
    [
      "",
      "100644 .gitignore",
      "100644 keep.log",
      "100644 sub/.gitignore",
      "100644 x.tmp",
      "100755 run.sh",
      "100755 copy",
      "120000 link",
      ...names.map((name) => `100644 ${name}`),
    ].sort(),
  );
  expect(await commitFiles(store, entry, files())).toBe(commit);
  const back = await bringBack({ sessionId: "sesn_01ABCDEFGHJKMNPQRS", path: repo, store, entry, tip: commit });
  expect(back).toEqual({ branch: branchName("sesn_01ABCDEFGHJKMNPQRS"), commit, commits: 1 });
});

test("ids of sessions become branch names and folders, whatever they are", () => {
  expect(branchName("sesn_01KAJ0ABCDEFGHJKMNPQ")).toBe("longhaul/efghjkmnpq");
  expect(branchName("sesn_x y/../z")).toBe("longhaul/x-y-z");
  expect(storeOf("/d", "../../etc", "a/b").dir).toMatch(/^\/d\/repositories\/id-\w{40}\/id-\w{40}$/);
});
