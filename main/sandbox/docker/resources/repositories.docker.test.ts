import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { LocalRepositoryResource } from "../../../contract/events.ts";
import { BringBackRefused } from "../../port.ts";
import { fingerprint, gitIn, put, repository } from "../../testing/repositories.ts";
import { BUSYBOX_IMAGE } from "../testing/real_engine.ts";
import { bringBackChanges, repositoryChanges } from "./changes.ts";
import { type BareContainer, bareContainer, place } from "./testing/bare_container.ts";

let box: BareContainer;
let folder: string;
let repo: string;
let dataDir: string;
let number = 0;

beforeAll(async () => {
  box = await bareContainer();
});
afterAll(() => box[Symbol.asyncDispose]());
beforeEach(() => {
  number += 1;
  folder = mkdtempSync(join(tmpdir(), "longhaul-bundle-"));
  repo = join(folder, "my repo");
  dataDir = join(folder, "data");
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function resource(more: Partial<LocalRepositoryResource> = {}): LocalRepositoryResource {
  return {
    id: `sesrsc_${number}`,
    type: "local_repository",
    path: repo,
    mount_path: `/workspace/r${number}`,
    checkout: null,
    include_uncommitted: true,
    created_at: "",
    updated_at: "",
    ...more,
  };
}
const inside = (command: string): Promise<string> => box.sh(`cd /workspace/r${number} && ${command}`);
const enter = (...resources: LocalRepositoryResource[]) =>
  place(box.container, dataDir, resources.length === 0 ? [resource()] : resources);
const changes = async (...resources: LocalRepositoryResource[]) =>
  repositoryChanges(box.container, dataDir, "sesn_test0123456789", resources.length === 0 ? [resource()] : resources);
const bringBack = (...resources: LocalRepositoryResource[]) =>
  bringBackChanges(
    box.container,
    dataDir,
    "sesn_test0123456789",
    resources.length === 0 ? [resource()] : resources,
    null,
  );

/** Everything of the person's repository that must stay as it is, byte for byte. */
function guarded(path = repo): Record<string, string> {
  const all = fingerprint(path, true);
  for (const key of Object.keys(all))
    if (/^\.git\/(objects|refs\/heads\/longhaul|logs\/refs\/heads\/longhaul)\//.test(key)) delete all[key];
  return all;
}

describe("a repository with uncommitted work", () => {
  test("enters with its history on its branch, and comes back as a branch and as a patch", async () => {
    repository(repo, { "a.txt": "one\n", "gone.txt": "x\n", ".gitignore": "*.log\n", "bin/run.sh": "#!/bin/sh\n" });
    put(repo, "a.txt", "two\n");
    gitIn(repo, "commit", "-q", "-am", "second");
    gitIn(repo, "tag", "v1.0");
    gitIn(repo, "checkout", "-q", "-b", "feature/x");
    put(repo, "a.txt", "uncommitted\n");
    put(repo, "staged.txt", "staged\n");
    gitIn(repo, "add", "staged.txt");
    put(repo, "new file.txt", "untracked\n");
    put(repo, "debug.log", "ignored\n");
    rmSync(join(repo, "gone.txt"));
    const before = guarded();

    const { steps, errors } = await enter();
    expect(errors).toEqual([]);
    expect(steps[0]).toMatch(
      /^clone .*my repo to \/workspace\/r\d+ \(.* MB, on branch feature\/x, uncommitted work as one commit on top\)$/,
    );
    expect(await inside("git log --format=%s")).toMatch(
      /^Uncommitted work of .+ when the session began\nsecond\nfirst\n$/,
    );
    expect(
      await inside("git rev-parse --abbrev-ref HEAD; git describe --tags; git remote; git status --porcelain; ls"),
    ).toMatch(/^feature\/x\nv1.0-1-g\w+\na.txt\nbin\nnew file.txt\nstaged.txt\n$/);
    expect(await inside("cat a.txt 'new file.txt' staged.txt")).toBe("uncommitted\nuntracked\nstaged\n");
    expect(await changes()).toEqual([{ mount_path: resource().mount_path, path: repo, patch: "", files: [] }]);
    expect(await bringBack()).toEqual([]);

    // Entering again is nothing.
    expect(await enter()).toEqual({ steps: [], errors: [] });
    await inside(
      "echo three >> a.txt && git commit -qam 'By the agent' && echo more > more.txt && rm staged.txt && echo x > x.log",
    );
    const index = await inside("sha256sum .git/index .git/HEAD; git status --porcelain");
    const [found] = await changes();
    expect(found?.files.map(({ status, path }) => `${status} ${path}`)).toEqual([
      "modified a.txt",
      "added more.txt",
      "deleted staged.txt",
    ]);
    expect(await inside("sha256sum .git/index .git/HEAD; git status --porcelain")).toBe(index);
    writeFileSync(join(folder, "p.patch"), found?.patch ?? "");
    gitIn(repo, "apply", "--check", join(folder, "p.patch"));

    const [back] = await bringBack();
    expect(back).toMatchObject({ path: repo, branch: "longhaul/0123456789", commits: 2 });
    expect(gitIn(repo, "log", "--format=%s", `feature/x..${back?.branch}`)).toMatch(
      /^Uncommitted work of the agent\nBy the agent\nUncommitted work of /,
    );
    expect(gitIn(repo, "show", `${back?.branch}:a.txt`)).toBe("uncommitted\nthree\n");
    expect(gitIn(repo, "rev-parse", back?.branch ?? "").trim()).toBe(back?.commit);
    gitIn(repo, "fsck", "--strict");
    expect(guarded()).toEqual(before);

    // Nothing changed: the same branch and commit. The agent's uncommitted work, once committed, is another line.
    expect(await bringBack()).toEqual([back]);
    await inside("git add -A && git commit -qm 'Finished'");
    const [second] = await bringBack();
    expect(second).toMatchObject({ branch: "longhaul/0123456789-2", commits: 2 });
    await inside("echo z > z && git add -A && git commit -qm 'And on'");
    const [third] = await bringBack();
    expect(third).toMatchObject({ branch: "longhaul/0123456789-2", commits: 3 });
    expect(guarded()).toEqual(before);
    expect((await repositoryChanges(null, dataDir, "sesn_test0123456789", [resource()]))[0]?.note).toMatch(
      /sandbox is gone/,
    );
  });
});

describe("repositories of every kind", () => {
  test("without a commit, detached, a commit, a branch, sha256, a linked work tree, a split index", async () => {
    repository(repo, { "a.txt": "one\n" });
    const first = gitIn(repo, "rev-parse", "HEAD").trim();
    gitIn(repo, "checkout", "-q", "-b", "other");
    put(repo, "b.txt", "b\n");
    gitIn(repo, "add", "-A");
    gitIn(repo, "commit", "-q", "-m", "second");
    gitIn(repo, "worktree", "add", "-q", "-b", "tree", join(folder, "linked"));
    put(join(folder, "linked"), "l.txt", "linked\n");
    gitIn(repo, "checkout", "-q", "--detach", first);
    const empty = join(folder, "empty");
    mkdirSync(empty);
    gitIn(empty, "init", "-q", "-b", "start");
    put(empty, "only.txt", "x\n");
    const wide = join(folder, "wide");
    mkdirSync(wide);
    gitIn(wide, "init", "-q", "--object-format=sha256", "-b", "main");
    put(wide, "w.txt", "w\n");
    gitIn(wide, "add", "-A");
    gitIn(wide, "commit", "-q", "-m", "wide");
    put(wide, "w.txt", "w2\n");
    const split = join(folder, "split");
    repository(split, { "s.txt": "s\n" });
    gitIn(split, "update-index", "--split-index");
    put(split, "t.txt", "t\n");
    gitIn(split, "add", "t.txt");

    const base = `/workspace/r${number}`;
    const all = [
      resource({ id: `r_${number}a`, mount_path: `${base}/detached` }),
      resource({
        id: "r_b",
        mount_path: `${base}/commit`,
        checkout: { type: "commit", sha: first },
        include_uncommitted: false,
      }),
      resource({
        id: "r_c",
        mount_path: `${base}/branch`,
        checkout: { type: "branch", name: "other" },
        include_uncommitted: false,
      }),
      resource({ id: `r_${number}d`, mount_path: `${base}/empty`, path: empty }),
      resource({ id: `r_${number}e`, mount_path: `${base}/wide`, path: wide }),
      resource({ id: `r_${number}f`, mount_path: `${base}/linked`, path: join(folder, "linked") }),
      resource({ id: `r_${number}g`, mount_path: `${base}/split`, path: split }),
    ];
    const before = [repo, empty, wide, join(folder, "linked"), split].map((path) => fingerprint(path, true));
    expect((await enter(...all)).errors).toEqual([]);
    const show =
      "for d in detached commit branch empty wide linked split; do cd $d; echo $d $(git symbolic-ref -q --short HEAD || echo none) $(git log --oneline | wc -l) $(ls); cd ..; done";
    expect(await inside(show)).toBe(
      [
        "detached none 1 a.txt",
        "commit none 1 a.txt",
        "branch other 2 a.txt b.txt",
        "empty start 1 only.txt",
        "wide main 2 w.txt",
        "linked tree 3 a.txt b.txt l.txt",
        "split main 2 s.txt t.txt",
        "",
      ].join("\n"),
    );
    expect([repo, empty, wide, join(folder, "linked"), split].map((path) => fingerprint(path, true))).toEqual(before);
    await inside("for d in *; do echo agent > $d/agent.txt; done");
    const found = await changes(...all);
    expect(found.map(({ files, patch, note }) => [files.length, patch.includes("+agent"), note])).toEqual(
      all.map(() => [1, true, undefined]),
    );
    for (const one of all) {
      const [back] = await bringBack(one);
      expect(gitIn(one.path, "show", `${back?.branch}:agent.txt`)).toBe("agent\n");
      expect(back?.commits).toBe(1);
    }
  });

  test("shallow clones enter as far as they go; partial ones are refused with the way out", async () => {
    repository(repo, { "a.txt": "1\n" });
    for (const n of [2, 3]) {
      put(repo, "a.txt", `${n}\n`);
      gitIn(repo, "commit", "-q", "-am", `${n}`);
    }
    gitIn(repo, "config", "uploadpack.allowFilter", "true");
    gitIn(folder, "clone", "-q", "--depth", "1", `file://${repo}`, join(folder, "shallow"));
    gitIn(folder, "clone", "-q", "--filter=blob:none", "--no-checkout", `file://${repo}`, join(folder, "partial"));
    const base = `/workspace/r${number}`;
    const shallow = resource({ id: `r_${number}s`, mount_path: `${base}/s`, path: join(folder, "shallow") });
    const { steps, errors } = await enter(
      shallow,
      resource({
        id: `r_${number}p`,
        mount_path: `${base}/p`,
        path: join(folder, "partial"),
        include_uncommitted: false,
      }),
    );
    expect(steps.join("\n")).toMatch(/shallow clone.*git fetch --unshallow/);
    expect(errors).toEqual([expect.stringMatching(/partial clone.*git fetch --refetch/)]);
    expect(await inside("cd s && cat a.txt && git log --oneline | wc -l && git fsck")).toBe("3\n1\n");
    await inside("echo x > s/x.txt");
    const [back] = await bringBack(shallow);
    expect(gitIn(shallow.path, "show", `${back?.branch}:x.txt`)).toBe("x\n");
  });

  test("names of every kind, case that collides, links that lead out, submodules, LFS pointers", async () => {
    const names = ["new\nline", "two words", "-rf", "ünï/cödé", "A", "a", ":(top)x", "*", "back\\slash", 'quo"te'];
    repository(repo, Object.fromEntries(names.map((name) => [name, `${name}\n`])));
    symlinkSync("/etc/passwd", join(repo, "out"));
    symlinkSync("../../..", join(repo, "up"));
    put(repo, Buffer.from("caf\xe9", "latin1").toString("latin1"), "x");
    put(repo, ".gitattributes", "*.big filter=lfs diff=lfs merge=lfs -text\n");
    put(repo, "data.big", Buffer.alloc(100_000, 7));
    repository(join(folder, "sub"), { s: "s" });
    gitIn(repo, "-c", "protocol.file.allow=always", "submodule", "add", "-q", join(folder, "sub"), "sub");
    const before = guarded();
    const { steps, errors } = await enter();
    expect(errors).toEqual([]);
    expect(steps.join("\n")).toMatch(/leave out submodules.*"sub"/);
    expect(steps.join("\n")).toMatch(/LFS files enter as pointers.*data\.big/);
    expect(await inside("cat data.big | head -3; readlink out up; cat a A 'back\\slash'")).toBe(
      "version https://git-lfs.github.com/spec/v1\noid sha256:bc05fe3d5a3e2a6ab2ba12e1b2a9f8a9ae56b94be6b0d2fd4ee0a2a0e3f2a7a1\nsize 100000\n/etc/passwd\n../../..\na\nA\nback\\slash\n".replace(
        /sha256:\w+/,
        `sha256:${(await inside("head -c 100000 /dev/zero | tr '\\0' '\\007' | sha256sum")).slice(0, 64)}`,
      ),
    );
    await inside('for f in *; do [ -f "./$f" ] && [ ! -L "./$f" ] && echo agent > "./$f"; done; true');
    const [found] = await changes();
    expect(found?.files.map(({ path }) => path)).toEqual(
      expect.arrayContaining(["new\nline", "-rf", "A", "a", "*", 'quo"te', "back\\slash"]),
    );
    expect(found?.files.map(({ path }) => path)).not.toContain("sub");
    await bringBack();
    expect(guarded()).toEqual(before);
  });

  test("what cannot enter is an error that names it, and leaves no trace", async () => {
    repository(repo, { "a.txt": "a\n" });
    gitIn(folder, "clone", "-q", "--bare", repo, join(folder, "bare"));
    mkdirSync(join(folder, "plain"));
    await box.sh(`mkdir -p /workspace/r${number} && echo mine > /workspace/r${number}/mine.txt`);
    const taken = resource({ id: `r_${number}t` });
    const { errors } = await enter(
      taken,
      resource({ id: `r_${number}b`, path: join(folder, "bare"), mount_path: `/workspace/r${number}/b` }),
      resource({ id: `r_${number}m`, path: join(folder, "missing"), mount_path: `/workspace/r${number}/m` }),
      resource({ id: `r_${number}n`, path: join(folder, "plain"), mount_path: `/workspace/r${number}/n` }),
      resource({ id: `r_${number}e`, mount_path: "/etc/here" }),
    );
    expect(errors).toEqual([
      expect.stringMatching(/is taken/),
      expect.stringMatching(/bare repository/),
      expect.stringMatching(/does not exist/),
      expect.stringMatching(/not a git work tree.*git init/),
      expect.stringMatching(/must be below \/workspace/),
    ]);
    expect(await inside("ls")).toBe("mine.txt\n");
    expect((await enter(taken)).errors).toEqual([expect.stringMatching(/is taken/)]);
    expect(await inside("ls")).toBe("mine.txt\n");
    expect(await changes(taken)).toEqual([]);
    await box.sh(`rm /workspace/r${number}/mine.txt`);
    expect((await enter(taken)).errors).toEqual([]);
  });

  test("an image without git says so", async () => {
    await using busy = await bareContainer({ image: BUSYBOX_IMAGE });
    repository(repo, { "a.txt": "a\n" });
    const { errors } = await place(busy.container, dataDir, [resource()]);
    expect(errors).toEqual([expect.stringMatching(/image has no git/)]);
    expect(await busy.sh("ls /workspace")).toBe("");
  });
});

describe("a repository that the agent broke", () => {
  test.each([
    ["removed .git", "rm -rf .git", /was removed or replaced/],
    [
      "put a link in its place",
      "mv .git /home/agent/away && ln -s /home/agent/away .git; rm -rf /home/agent/away",
      /removed or replaced/,
    ],
    ["started it anew", "rm -rf .git && git init -q", /removed or replaced/],
    [
      "damaged its objects",
      "git commit -q --allow-empty -m x; rm -rf .git/objects/*; true",
      /removed|replaced|bad object|fatal/,
    ],
    ["damaged its index", "head -c 100 /dev/urandom > .git/index", /index/],
  ])("%s: the files are compared", async (_, damage, note) => {
    repository(repo, { "a.txt": "a\n", "run.sh": "#!/bin/sh\n", ".gitignore": "*.log\n" });
    const before = guarded();
    await enter();
    await inside(`echo changed > a.txt; chmod +x run.sh; echo n > new.txt; echo l > x.log; ln a.txt hard; ${damage}`);
    const [found] = await changes();
    expect(found?.note).toMatch(/^Only the files were compared/);
    expect(found?.note).toMatch(note);
    expect(found?.files.map(({ status, path }) => `${status} ${path}`)).toEqual([
      "modified a.txt",
      "added hard",
      "added new.txt",
      "modified run.sh",
    ]);
    const [back] = await bringBack();
    expect(gitIn(repo, "show", `${back?.branch}:a.txt`)).toBe("changed\n");
    expect(await bringBack()).toEqual([back]);
    expect(guarded()).toEqual(before);
  });

  test("put a link in the place of a folder, and made repositories inside: what is behind them is not looked at", async () => {
    repository(repo, { "dir/b.txt": "b\n", "a.txt": "a\n" });
    await enter();
    await inside(
      "rm -r dir && mkdir real && echo secret > real/b.txt && ln -s real dir && git init -q inner && echo i > inner/i",
    );
    const [found] = await changes();
    expect(found?.note).toBeUndefined();
    expect(found?.files.map(({ status, path }) => `${status} ${path}`)).toEqual([
      "added dir",
      "deleted dir/b.txt",
      "added real/b.txt",
    ]);
  });

  test("removed the whole folder: everything is deleted", async () => {
    repository(repo, { "a.txt": "a\n" });
    await enter();
    await box.sh(`rm -rf /workspace/r${number}`);
    expect((await changes())[0]?.files).toMatchObject([{ status: "deleted", path: "a.txt" }]);
  });

  test("hostile objects never reach this disk's repository", async () => {
    repository(repo, { "a.txt": "a\n" });
    await enter();
    // A tree with a `.git` inside, which a checkout would write into the repository itself.
    await inside(
      `blob=$(echo evil | git hash-object -w --stdin); inner=$(printf '100644 blob %s\\thooks' $blob | git mktree); top=$(printf '040000 tree %s\\t.git' $inner | git mktree); git update-ref HEAD $(git commit-tree -p HEAD -m evil $top)`,
    );
    const [found] = await changes();
    expect(found?.note).toMatch(/could not be taken over/);
    await bringBack().catch((error: unknown) => expect(error).toBeInstanceOf(BringBackRefused));
    gitIn(repo, "fsck", "--strict");
    expect(gitIn(repo, "rev-list", "--objects", "--all")).not.toContain("hooks");
  });
});
