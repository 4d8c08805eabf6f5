import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { makePipe } from "../testing/processes.ts";
import { fingerprint, gitIn, put, repository } from "../testing/repositories.ts";
import { createBaseline, ownExcludes } from "./baseline.ts";
import { copyTree } from "./copy_tree.ts";
import { RepositoryRefused, readRepository } from "./repository.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: string;
let repo: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longhaul-repo-"));
  repo = join(folder, "repo");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const whole = { checkout: null, include_uncommitted: true } as const;

async function enter(more: Partial<Parameters<typeof readRepository>[0]> = {}): Promise<{
  files: Record<string, string>;
  skipped: Record<string, string[]>;
}> {
  const tree = await readRepository({ path: repo, ...whole, ...more });
  const target = join(folder, "copy");
  rmSync(target, { recursive: true, force: true });
  mkdirSync(target);
  await copyTree(tree, target);
  return { files: fingerprint(target), skipped: Object.fromEntries(tree.skipped) };
}

describe("what enters", () => {
  test("tracked files as they are, untracked ones that are not ignored, nothing deleted or ignored", async () => {
    repository(repo, { "a.txt": "a", "gone.txt": "x", ".gitignore": "ignored/\n*.log\n", "dir/run.sh": "#!/bin/sh\n" });
    put(repo, "a.txt", "changed");
    put(repo, "dir/run.sh", "#!/bin/sh\n", 0o755);
    put(repo, "new.txt", "untracked");
    put(repo, "ignored/secret.txt", "no");
    put(repo, "debug.log", "no");
    put(repo, "node/own.txt", "no");
    put(repo, ".git/info/exclude", "node/\n");
    rmSync(join(repo, "gone.txt"));
    const { files } = await enter();
    expect(Object.keys(files)).toEqual([".gitignore", "a.txt", "dir/run.sh", "new.txt"]);
    expect(files["dir/run.sh"]).toMatch(/^file x/);
    expect(files["a.txt"]).toBe(fingerprint(repo)["a.txt"]);
    expect(await ownExcludes(repo)).toBe("node/\n");
  });

  test("a commit, a branch, or the last commit, byte for byte", async () => {
    repository(repo, { "a.txt": "first\r\n", "bin.dat": Buffer.from([0, 255, 10, 13]), empty: "" });
    const sha = gitIn(repo, "rev-parse", "HEAD").trim();
    gitIn(repo, "checkout", "-q", "-b", "other");
    put(repo, "a.txt", "second");
    put(repo, "x.sh", "x", 0o755);
    symlinkSync("a.txt", join(repo, "link"));
    gitIn(repo, "add", "-A");
    gitIn(repo, "commit", "-q", "-m", "second");
    gitIn(repo, "checkout", "-q", "main");
    put(repo, "a.txt", "uncommitted");
    put(repo, "new.txt", "untracked");
    const first = (await enter({ include_uncommitted: false })).files;
    expect(Object.keys(first)).toEqual(["a.txt", "bin.dat", "empty"]);
    expect((await enter({ checkout: { type: "commit", sha: sha.slice(0, 10) } })).files).toEqual(first);
    expect((await enter({ checkout: { type: "branch", name: "main" } })).files).toEqual(first);
    const other = (await enter({ checkout: { type: "branch", name: "other" } })).files;
    expect(Object.keys(other)).toEqual(["a.txt", "bin.dat", "empty", "link", "x.sh"]);
    expect(other["link"]).toBe("link a.txt");
    expect(other["x.sh"]).toMatch(/^file x/);
  });

  test("names of every kind", async () => {
    const names = [
      "-rf",
      "two words",
      "new\nline",
      "tab\there",
      'quote"s',
      "back\\slash",
      "ünï/cödé",
      "emoji 😀",
      "*",
      "$HOME",
      ":(top)x",
      " ",
    ];
    repository(repo, Object.fromEntries(names.map((name) => [name, name])));
    put(repo, "untracked\nline", "x");
    const expected = fingerprint(repo);
    expect((await enter()).files).toEqual(expected);
    delete expected["untracked\nline"];
    expect((await enter({ include_uncommitted: false })).files).toEqual(expected);
  });

  test("links inside stay links, links that lead out are left out, and so is what is behind a link", async () => {
    repository(repo, { "real/a.txt": "a", "dir/b.txt": "b" });
    writeFileSync(join(folder, "outside.txt"), "secret");
    symlinkSync("real/a.txt", join(repo, "in"));
    symlinkSync(join(repo, "real"), join(repo, "absolute-in"));
    symlinkSync("../outside.txt", join(repo, "out"));
    symlinkSync("/etc/passwd", join(repo, "etc"));
    symlinkSync("missing", join(repo, "dangling"));
    // A folder of the index that is a link now: reading through it would read another place.
    mkdirSync(join(folder, "elsewhere"));
    writeFileSync(join(folder, "elsewhere/b.txt"), "secret");
    rmSync(join(repo, "dir"), { recursive: true });
    symlinkSync("../elsewhere", join(repo, "dir"));
    const { files, skipped } = await enter();
    expect(files).toMatchObject({ in: "link real/a.txt", "absolute-in": "link real", dangling: "link missing" });
    expect(Object.keys(files)).toEqual(["absolute-in", "dangling", "in", "real/a.txt"]);
    expect(skipped["links that lead out of the repository"]?.sort()).toEqual(["dir", "etc", "out"]);
  });

  test("submodules, nested repositories and pipes are left out and said so", async () => {
    repository(repo, { "a.txt": "a" });
    repository(join(folder, "lib"), { "lib.txt": "x" });
    gitIn(repo, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", join(folder, "lib"), "sub");
    repository(join(repo, "nested"), { "n.txt": "x" });
    makePipe(join(repo, "pipe"));
    const { files, skipped } = await enter();
    expect(Object.keys(files)).toEqual([".gitmodules", "a.txt"]);
    expect(skipped).toMatchObject({ submodules: ["sub"], "nested repositories": ["nested/"] });
  });

  test("a linked work tree, and a repository without a commit", async () => {
    repository(repo, { "a.txt": "a" });
    gitIn(repo, "worktree", "add", "-q", "../linked");
    put(join(folder, "linked"), "b.txt", "b");
    expect(Object.keys((await enter({ path: join(folder, "linked") })).files)).toEqual(["a.txt", "b.txt"]);
    const fresh = join(folder, "fresh");
    mkdirSync(fresh);
    gitIn(fresh, "init", "-q");
    put(fresh, "only.txt", "x");
    expect(Object.keys((await enter({ path: fresh })).files)).toEqual(["only.txt"]);
    await expect(enter({ path: fresh, include_uncommitted: false })).rejects.toThrow(/has no commit yet/);
  });
});

describe("what is refused, and how", () => {
  test.each<[string, string, RegExp]>([
    ["a relative path", "repo", /must be absolute/],
    ["a missing path", "/nowhere/at/all", /does not exist/],
  ])("%s", async (_, path, text) => {
    await expect(enter({ path })).rejects.toThrow(text);
    await expect(enter({ path })).rejects.toBeInstanceOf(RepositoryRefused);
  });

  test("files, plain folders, folders inside a repository, bare repositories, and what does not exist in one", async () => {
    repository(repo, { "dir/a.txt": "a" });
    await expect(enter({ path: join(repo, "dir/a.txt") })).rejects.toThrow(/is not a folder/);
    await expect(enter({ path: join(repo, "dir") })).rejects.toThrow(`inside the repository ${repo}`);
    mkdirSync(join(folder, "plain"));
    await expect(enter({ path: join(folder, "plain") })).rejects.toThrow(/not a git work tree/);
    gitIn(folder, "init", "-q", "--bare", "bare");
    await expect(enter({ path: join(folder, "bare") })).rejects.toThrow(/bare repository/);
    await expect(enter({ checkout: { type: "branch", name: "nope" } })).rejects.toThrow(/no branch "nope"/);
    await expect(enter({ checkout: { type: "branch", name: "--all" } })).rejects.toThrow(/no branch/);
    await expect(enter({ checkout: { type: "commit", sha: "abcdef" } })).rejects.toThrow(/no commit abcdef/);
    await expect(enter({ checkout: { type: "commit", sha: "main" } })).rejects.toThrow(/not the hash of a commit/);
    writeFileSync(join(folder, "plain/.git"), "gitdir: /nowhere\n");
    await expect(enter({ path: join(folder, "plain") })).rejects.toBeInstanceOf(RepositoryRefused);
  });
});

describe("a hostile repository", () => {
  /** Every way known to us in which a repository can make git run something, each touching the canary. */
  function hostile(canary: string): void {
    repository(repo, { "a.txt": "a", "b.bin": "b" });
    put(repo, ".gitattributes", "*.txt filter=evil diff=evil\n*.bin merge=evil working-tree-encoding=UTF-16\n");
    const run = `touch ${canary}`;
    for (const hook of [
      "post-index-change",
      "pre-commit",
      "post-checkout",
      "fsmonitor-watchman",
      "reference-transaction",
      "pre-auto-gc",
    ]) {
      put(repo, `.git/hooks/${hook}`, `#!/bin/sh\n${run}\n`, 0o755);
    }
    const script = join(repo, ".git/evil.sh");
    put(repo, ".git/evil.sh", `#!/bin/sh\n${run}\ncat\n`, 0o755);
    for (const [key, value] of Object.entries({
      "core.fsmonitor": script,
      "core.hooksPath": join(repo, ".git/hooks"),
      "core.pager": script,
      "core.editor": script,
      "core.sshCommand": script,
      "core.askPass": script,
      "core.gitProxy": script,
      "core.worktree": folder,
      "core.alternateRefsCommand": script,
      "filter.evil.clean": script,
      "filter.evil.smudge": script,
      "filter.evil.process": script,
      "filter.evil.required": "true",
      "diff.evil.command": script,
      "diff.evil.textconv": script,
      "diff.external": script,
      "merge.evil.driver": script,
      "credential.helper": script,
      "pager.ls-files": script,
      "pager.ls-tree": script,
      "alias.ls-files": `!${run}`,
      "alias.cat-file": `!${run}`,
      "gpg.program": script,
      "uploadpack.packObjectsHook": script,
      "remote.origin.url": `ext::${script}`,
      "remote.origin.promisor": "true",
      "protocol.ext.allow": "always",
      "extensions.partialClone": "origin",
    })) {
      gitIn(repo, "config", key, value);
    }
    // Racy timestamps make git look into files: it must still not filter them.
    put(repo, "a.txt", "b");
    rmSync(canary, { force: true });
  }

  test("runs nothing and is not changed, whatever is read of it", async () => {
    const canary = join(folder, "canary");
    hostile(canary);
    const before = fingerprint(repo, true);
    const { files } = await enter();
    await enter({ include_uncommitted: false });
    await enter({ checkout: { type: "branch", name: "main" } });
    // An object that is not there would be fetched from the promisor.
    rmSync(
      join(
        repo,
        ".git/objects",
        gitIn(folder, "--git-dir", join(repo, ".git"), "rev-parse", "HEAD:b.bin").trim().replace(/^../, "$&/"),
      ),
    );
    await enter({ include_uncommitted: false }).catch((error: unknown) => expect(error).toBeInstanceOf(Error));
    expect(existsSync(canary)).toBe(false);
    // The work tree is the folder that was named, not the one that its config names.
    expect(Object.keys(files)).toEqual([".gitattributes", "a.txt", "b.bin"]);
    const after = fingerprint(repo, true);
    for (const path of Object.keys(before)) {
      if (after[path] !== undefined) expect([path, after[path]]).toEqual([path, before[path]]);
    }
    expect(Object.keys(after).filter((path) => before[path] === undefined)).toEqual([]);
    // The traps are real: git as everybody runs it steps into one.
    gitIn(repo, "-c", `core.worktree=${repo}`, "status");
    expect(existsSync(canary)).toBe(true);
  });

  test("its attributes do not change what is recorded", async () => {
    hostile(join(folder, "canary"));
    const tree = await readRepository({ path: repo, ...whole });
    const target = join(folder, "copy");
    mkdirSync(target);
    await copyTree(tree, target);
    await createBaseline(
      join(folder, "baseline"),
      target,
      tree.files.map((file) => file.path),
      "",
    );
    expect(existsSync(join(folder, "canary"))).toBe(false);
    expect(gitIn(folder, `--git-dir=${join(folder, "baseline")}`, "show", ":b.bin")).toBe("b");
  });

  test("a forged index cannot name files elsewhere", async () => {
    repository(repo, { aaaaaaaaaaaaaa: "x" });
    writeFileSync(join(folder, "secret.txt"), "secret");
    const index = join(repo, ".git/index");
    // Same length, so that only the checksum at the end has to be left out of the check.
    execFileSync("python3", [
      "-c",
      `
import hashlib
p=${JSON.stringify(index)}
b=open(p,'rb').read()[:-20].replace(b'aaaaaaaaaaaaaa', b'../secret.txt\\0'[:14])
open(p,'wb').write(b+hashlib.sha1(b).digest())`,
    ]);
    const result = await enter().catch((error: unknown) => error);
    const { "secret.txt": secret } = fingerprint(folder);
    expect(secret).toMatch(/^file/);
    expect(JSON.stringify(result)).not.toContain(secret?.slice(-16));
  });
});
