import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtemp, realpath, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FileError, PathRefused } from "../machine.ts";
import { makePipe } from "../testing/processes.ts";
import { SandboxFiles } from "./files.ts";

let folder: string;
let root: string;
let files: SandboxFiles;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), "longhaul-files-")));
  root = join(folder, "root");
  for (const path of ["workspace/dir", "tmp", "mnt/session/uploads", "etc"])
    mkdirSync(join(root, path), { recursive: true });
  writeFileSync(join(folder, "secret.txt"), "secret");
  writeFileSync(join(root, "etc/passwd"), "inside, but not for the tools");
  writeFileSync(join(root, "workspace/dir/a.txt"), "a");
  mkdirSync(join(folder, "scratch"));
  files = new SandboxFiles(root, join(folder, "scratch"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function text(path: string): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const chunk of files.read(path)) parts.push(chunk);
  return Buffer.concat(parts).toString();
}

describe("paths", () => {
  test.each([
    ["dir/a.txt", "/workspace/dir/a.txt"],
    [".", "/workspace"],
    ["/workspace/dir/../dir/./a.txt", "/workspace/dir/a.txt"],
    ["new/deep/file", "/workspace/new/deep/file"],
    ["/tmp", "/tmp"],
    ["/mnt/session/uploads/x", "/mnt/session/uploads/x"],
    ["..hidden", "/workspace/..hidden"],
  ])("%j is %s", async (path, expected) => {
    expect(await files.resolve(path)).toBe(expected);
  });

  test.each(["/", "..", "/etc/passwd", "/workspace/../etc", "/workspacex", "/mnt", "dir/../../etc/passwd", "a\0b"])(
    "%j is refused",
    async (path) => {
      await expect(files.resolve(path)).rejects.toBeInstanceOf(PathRefused);
    },
  );

  test("links are followed inside and refused outside, whatever they look like", async () => {
    const links: [string, string, string | null][] = [
      ["in", "dir/a.txt", "/workspace/dir/a.txt"],
      ["absolute", join(root, "workspace/dir"), "/workspace/dir"],
      ["to-tmp", "../tmp/new.txt", "/tmp/new.txt"],
      ["dangling", "nowhere/at/all", "/workspace/nowhere/at/all"],
      ["to-etc", "../etc/passwd", null],
      ["host", "/etc/passwd", null],
      ["up", "../../secret.txt", null],
      ["dangling-out", "../../not-there", null],
      ["dangling-host", "/not/there", null],
      ["twice", "up", null],
      ["root", "..", null],
    ];
    for (const [name, target] of links) symlinkSync(target, join(root, "workspace", name));
    for (const [name, , expected] of links) {
      const result = await files.resolve(name).catch((error: unknown) => error);
      if (expected === null) expect([name, result]).toEqual([name, expect.any(PathRefused)]);
      else expect([name, result]).toEqual([name, expected]);
    }
    await expect(files.resolve("root/secret.txt")).rejects.toBeInstanceOf(PathRefused);
    await expect(files.resolve("host/x")).rejects.toBeInstanceOf(Error);
  });

  test("circles are an error, not an endless loop", async () => {
    symlinkSync("two", join(root, "workspace/one"));
    symlinkSync("one", join(root, "workspace/two"));
    symlinkSync("self/deeper", join(root, "workspace/self"));
    for (const path of ["one", "one/x", "self"])
      await expect(files.resolve(path)).rejects.toMatchObject({ code: "ELOOP" });
  });
});

describe("a path that changes after it was resolved", () => {
  test("a file swapped for a link is not read", async () => {
    const path = await files.resolve("dir/a.txt");
    renameSync(join(root, "workspace/dir/a.txt"), join(root, "workspace/dir/old"));
    symlinkSync(join(folder, "secret.txt"), join(root, "workspace/dir/a.txt"));
    await expect(text(path)).rejects.toBeInstanceOf(FileError);
    await files.write(path, "new");
    expect(readFileSync(join(folder, "secret.txt"), "utf8")).toBe("secret");
    expect(await text(path)).toBe("new");
  });

  test("a folder swapped for a link is not written through", async () => {
    const path = await files.resolve("dir/new.txt");
    renameSync(join(root, "workspace/dir"), join(root, "workspace/moved"));
    symlinkSync(folder, join(root, "workspace/dir"));
    await expect(files.write(path, "x")).rejects.toBeInstanceOf(PathRefused);
    await expect(text("/workspace/dir/secret.txt").catch(() => "refused")).resolves.toBe("refused");
  });
});

describe("files that are none", () => {
  test("a pipe is neither waited for nor read", async () => {
    makePipe(join(root, "workspace/pipe"));
    expect(await files.stat("/workspace/pipe")).toMatchObject({ kind: "other" });
    await expect(text("/workspace/pipe")).rejects.toBeInstanceOf(FileError);
  });

  test("writing to a folder fails and leaves nothing behind", async () => {
    await expect(files.write("/workspace/dir", "x")).rejects.toMatchObject({ code: "EISDIR" });
    await expect(files.write("/workspace/dir/a.txt/below", "x")).rejects.toBeInstanceOf(FileError);
    expect(readdirSync(join(root, "workspace"))).toEqual(["dir"]);
    expect(readdirSync(join(folder, "scratch"))).toEqual([]);
  });

  test("writing replaces a hard link instead of the file behind it", async () => {
    linkSync(join(folder, "secret.txt"), join(root, "workspace/hard"));
    await files.write("/workspace/hard", "mine");
    expect(readFileSync(join(folder, "secret.txt"), "utf8")).toBe("secret");
  });
});

test("walking follows no links, skips what nobody searches, and stops when told", async () => {
  const workspace = join(root, "workspace");
  symlinkSync(folder, join(workspace, "out"));
  for (const path of [".git/x", "node_modules/x", "dir/sub/x"]) {
    mkdirSync(join(workspace, path, ".."), { recursive: true });
    writeFileSync(join(workspace, path), "");
  }
  const abort = new AbortController();
  const found: string[] = [];
  for await (const { path } of files.walk("/workspace", abort.signal)) found.push(path);
  expect(found.sort()).toEqual(["/workspace/dir/a.txt", "/workspace/dir/sub/x"]);
  abort.abort();
  for await (const entry of files.walk("/workspace", abort.signal)) expect(entry).toBe("never");
});
