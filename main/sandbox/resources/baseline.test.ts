import { chmodSync, cpSync, existsSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { ChangedFile } from "../../contract/local_api.ts";
import { fingerprint, gitIn, put, repository } from "../testing/repositories.ts";
import { changesSince, createBaseline, ownExcludes } from "./baseline.ts";
import { copyTree } from "./copy_tree.ts";
import { readRepository } from "./repository.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let folder: string;
let repo: string;
let tree: string;
let gitDir: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longhaul-patch-"));
  repo = join(folder, "repo");
  tree = join(folder, "root/workspace/repo");
  gitDir = join(folder, "baseline");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Brings the repository in as provisioning does. */
async function enter(): Promise<void> {
  const source = await readRepository({ path: repo, checkout: null, include_uncommitted: true });
  mkdirSync(tree, { recursive: true });
  await copyTree(source, tree);
  const paths = source.files.map((file) => file.path);
  await createBaseline(gitDir, tree, paths, await ownExcludes(source.top));
}

/** The changes; and the patch has been applied to the user's repository with the user's git. */
async function changesApplied(): Promise<{ patch: string; files: Record<string, ChangedFile> }> {
  const { patch, files } = await changesSince(gitDir, tree, join(folder, "root"));
  if (patch !== "") {
    writeFileSync(join(folder, "changes.patch"), patch);
    gitIn(repo, "apply", "--check", "--whitespace=nowarn", join(folder, "changes.patch"));
    gitIn(repo, "apply", "--whitespace=nowarn", join(folder, "changes.patch"));
  }
  return { patch, files: Object.fromEntries(files.map((file) => [file.path, file])) };
}

test("nothing changed is an empty patch, also after looking twice", async () => {
  repository(repo, { "a.txt": "a\n" });
  await enter();
  expect(await changesSince(gitDir, tree, folder)).toEqual({ patch: "", files: [] });
  expect(await changesSince(gitDir, tree, folder)).toEqual({ patch: "", files: [] });
});

describe("the patch takes the user's repository to what is in the sandbox", () => {
  test("edits, new files, deletions, moves, modes and links", async () => {
    repository(repo, {
      "edit.txt": "one\ntwo\nthree\n",
      "gone.txt": "x\n",
      "old/name.txt": "moved\n",
      "run.sh": "#!/bin/sh\n",
      "empty.txt": "",
    });
    await enter();
    put(tree, "edit.txt", "one\n2\nthree\n");
    rmSync(join(tree, "gone.txt"));
    mkdirSync(join(tree, "new"));
    renameSync(join(tree, "old/name.txt"), join(tree, "new/name.txt"));
    chmodSync(join(tree, "run.sh"), 0o755);
    put(tree, "deep/er/added.txt", "added\n");
    put(tree, "added-empty", "");
    symlinkSync("edit.txt", join(tree, "link"));
    // As the shell of the embedded sandbox writes a link to /workspace/repo/edit.txt.
    symlinkSync(join(tree, "edit.txt"), join(tree, "new/absolute"));
    const expected = { ...fingerprint(tree), "new/absolute": "link ../edit.txt" };
    const { files, patch } = await changesApplied();
    expect(fingerprint(repo)).toEqual(expected);
    expect(files["edit.txt"]).toEqual({
      path: "edit.txt",
      status: "modified",
      additions: 1,
      deletions: 1,
      binary: false,
    });
    expect(files["gone.txt"]?.status).toBe("deleted");
    expect(files["new/name.txt"]?.status).toBe("added");
    expect(files["run.sh"]).toMatchObject({ status: "modified", additions: 0, deletions: 0 });
    expect(patch).not.toContain(folder);
  });

  test("some of many files in another encoding, and files that became links, are in the patch once each", async () => {
    const latin1 = (text: string): Buffer => Buffer.from(`caf\xe9 ${text}\ndiff --git a/x b/x\n`, "latin1");
    const names = Array.from({ length: 600 }, (_, i) => `f${i}.txt`);
    const of = (name: string, text: string) => (/[05]\.txt$/.test(name) ? latin1(text) : Buffer.from(`é ${text}\n`));
    repository(repo, {
      ...Object.fromEntries(names.map((name) => [name, of(name, "a")])),
      link: latin1("l"),
      to: "t\n",
    });
    await enter();
    for (const name of names) put(tree, name, of(name, "b"));
    for (const name of ["link", "to"]) {
      rmSync(join(tree, name));
      symlinkSync("f1.txt", join(tree, name));
    }
    const started = performance.now();
    const { patch } = await changesApplied();
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(patch.match(/^diff --git /gm)).toHaveLength(604);
    expect(patch.match(/^GIT binary patch/gm)?.length).toBe(121);
    expect(fingerprint(repo)).toEqual(fingerprint(tree));
  });

  test("line ends, missing last line ends, binary files, and text in other encodings", async () => {
    const binary = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 256);
    repository(repo, {
      "crlf.txt": "one\r\ntwo\r\n",
      "mixed.txt": "one\r\ntwo\n",
      "no-end.txt": "last",
      "data.bin": binary,
      "latin1.txt": Buffer.from("caf\xe9\nline\n", "latin1"),
      ".gitattributes": "*.txt text=auto eol=lf\n*.utf16 working-tree-encoding=UTF-16LE\n",
    });
    await enter();
    put(tree, "crlf.txt", "one\r\n2\r\nthree\n");
    put(tree, "mixed.txt", "1\r\ntwo\r\n");
    put(tree, "no-end.txt", "last\nmore");
    put(tree, "data.bin", binary.toReversed());
    put(tree, "latin1.txt", Buffer.from("caf\xe9s\nline\n", "latin1"));
    put(tree, "new.bin", Buffer.from([0, 1, 2, 255]));
    put(tree, "utf8.txt", "grüße\n");
    const expected = fingerprint(tree);
    const { files } = await changesApplied();
    expect(files["data.bin"]).toMatchObject({ binary: true, additions: 0 });
    const found = fingerprint(repo);
    // The user's own git may convert the line ends that the user's attributes tell it to convert.
    for (const path of Object.keys(expected))
      if (!path.startsWith("crlf") && !path.startsWith("mixed"))
        expect([path, found[path]]).toEqual([path, expected[path]]);
  });

  test("line ends are kept where no attribute says otherwise", async () => {
    repository(repo, { "crlf.txt": "one\r\ntwo\r\n", "mixed.txt": "one\r\ntwo\n" });
    await enter();
    put(tree, "crlf.txt", "one\r\n2\r\nthree\n");
    put(tree, "mixed.txt", "1\r\ntwo\r\n");
    const expected = fingerprint(tree);
    await changesApplied();
    expect(fingerprint(repo)).toEqual(expected);
  });

  test("names of every kind", async () => {
    const names = [
      "two words",
      "new\nline",
      "tab\there",
      'quote"s',
      "back\\slash",
      "ünï/cödé",
      "😀",
      "-dash",
      "*",
      "a b/c d",
      "trailing ",
      "$(touch x)",
    ];
    repository(repo, Object.fromEntries(names.map((name) => [name, "old\n"])));
    await enter();
    for (const name of names) put(tree, name, "new\n");
    for (const name of names) put(tree, `also ${name}`, "x\n");
    rmSync(join(tree, "*"));
    const expected = fingerprint(tree);
    const { files } = await changesApplied();
    expect(fingerprint(repo)).toEqual(expected);
    expect(files["new\nline"]).toMatchObject({ status: "modified", additions: 1, deletions: 1 });
  });

  test("on top of work that was not committed, and of files that were not tracked", async () => {
    repository(repo, { "a.txt": "committed\n" });
    put(repo, "a.txt", "uncommitted\n");
    put(repo, "untracked.txt", "mine\n");
    await enter();
    put(tree, "a.txt", "uncommitted\nand more\n");
    put(tree, "untracked.txt", "mine\nand yours\n");
    const expected = fingerprint(tree);
    await changesApplied();
    expect(fingerprint(repo)).toEqual(expected);
    expect(gitIn(repo, "diff", "--cached")).toBe("");
  });

  test("a file that became a folder, a folder that became a file, and one that became a link", async () => {
    repository(repo, {
      file: "x\n",
      "folder/a.txt": "a\n",
      plain: "p\n",
      "other/b.txt": "b\n",
      "linking/c.txt": "c\n",
    });
    await enter();
    rmSync(join(tree, "file"));
    put(tree, "file/inside.txt", "now a folder\n");
    rmSync(join(tree, "folder"), { recursive: true });
    put(tree, "folder", "now a file\n");
    rmSync(join(tree, "plain"));
    symlinkSync("other", join(tree, "plain"));
    put(tree, "linked/c.txt", "now behind a link\n");
    rmSync(join(tree, "linking"), { recursive: true });
    symlinkSync("linked", join(tree, "linking"));
    const expected = fingerprint(tree);
    await changesApplied();
    expect(fingerprint(repo)).toEqual(expected);
  });

  test("when everything was removed", async () => {
    repository(repo, { "a.txt": "a\n", "b/c.txt": "c\n" });
    await enter();
    rmSync(tree, { recursive: true });
    const { files } = await changesApplied();
    expect(Object.values(files).map((file) => file.status)).toEqual(["deleted", "deleted"]);
    expect(fingerprint(repo)).toEqual({});
  });
});

describe("what is no change", () => {
  test("ignored files, by rules that entered, rules of the agent, and rules of the repository's own", async () => {
    repository(repo, { ".gitignore": "node_modules/\n", "a.txt": "a\n" });
    put(repo, ".git/info/exclude", "*.local\n");
    await enter();
    put(tree, "node_modules/m/index.js", "x");
    put(tree, "x.local", "x");
    put(tree, "build/out.js", "x");
    put(tree, "build/.gitignore", "*\n");
    expect((await changesSince(gitDir, tree, folder)).files).toEqual([]);
  });

  test("a tracked file that the rules would ignore still counts", async () => {
    repository(repo, { "keep.log": "x\n" });
    put(repo, ".gitignore", "*.log\n");
    await enter();
    put(tree, "keep.log", "changed\n");
    expect((await changesSince(gitDir, tree, folder)).files.map((file) => file.path)).toEqual(["keep.log"]);
  });

  test("a repository that the agent made inside; and nothing of it runs", async () => {
    repository(repo, { "a.txt": "a\n" });
    await enter();
    const canary = join(folder, "canary");
    repository(join(tree, "inner"), { "b.txt": "b\n" });
    put(tree, "inner/.git/evil.sh", `#!/bin/sh\ntouch ${canary}\n`, 0o755);
    gitIn(join(tree, "inner"), "config", "core.fsmonitor", join(tree, "inner/.git/evil.sh"));
    put(tree, ".gitattributes", "* filter=evil diff=evil\n");
    put(tree, "a.txt", "changed\n");
    const { files } = await changesSince(gitDir, tree, folder);
    expect(files.map((file) => file.path)).toEqual([".gitattributes", "a.txt"]);
    expect(existsSync(canary)).toBe(false);
  });
});

test("the user's repository may be gone, and two may look at once", async () => {
  repository(repo, { "a.txt": "a\n" });
  await enter();
  cpSync(repo, join(folder, "kept"), { recursive: true });
  rmSync(repo, { recursive: true });
  put(tree, "a.txt", "b\n");
  const [one, two] = await Promise.all([changesSince(gitDir, tree, folder), changesSince(gitDir, tree, folder)]);
  expect(one).toEqual(two);
  expect(one.files).toHaveLength(1);
});
