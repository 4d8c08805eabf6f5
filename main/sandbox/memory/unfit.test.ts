import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { EmbeddedMemoryFiles } from "../embedded/memory/memory_files.ts";
import type { SessionMemory } from "./session_memory.ts";
import { FolderBench } from "./testing/folder_bench.ts";

// A busy machine is slow with files.
vi.setConfig({ testTimeout: 30_000 });

let bench: FolderBench;
beforeEach(async () => {
  bench = await FolderBench.make();
});
afterEach(() => bench[Symbol.asyncDispose]());

const real = (path: string, mount?: string) => bench.real(path, mount);
const put = (path: string, content: string | Buffer) => bench.put(path, content);
const has = (path: string) => bench.has(path);
/** A call that does nothing. */
const afterCall = (memory: SessionMemory) => {
  memory.begin();
  return memory.afterCall();
};

describe("what cannot be a memory", () => {
  test("is left alone, hides nothing else, and is told once", async () => {
    const { store, memory } = await bench.mounted({ "/was.md": "text", "/dir/in.md": "in", "/other.md": "o" });
    const secret = join(bench.dataDir, "secret");
    writeFileSync(secret, "host secret");
    symlinkSync(secret, real("/link.md"));
    rmSync(real("/was.md"));
    symlinkSync(secret, real("/was.md"));
    rmSync(real("/dir"), { recursive: true });
    symlinkSync(bench.dataDir, real("/dir"));
    execFileSync("sh", ["-c", 'mkfifo "$1"', "sh", real("/pipe")]);
    put("/big.md", "x".repeat(102_401));
    put("/huge.bin", "");
    truncateSync(real("/huge.bin"), 64 * 2 ** 30);
    put("/binary", Buffer.from([0x66, 0xff, 0xfe]));
    put("/bad\u200bname", "x");
    put("/good.md", "good");
    const told = await afterCall(memory);
    expect(told.sort()).toEqual([
      expect.stringMatching(/notes\/bad.name is not saved: its path must not contain control characters/),
      expect.stringMatching(/notes\/big\.md is not saved: it has more than 102400 bytes/),
      expect.stringMatching(/notes\/binary is not saved: it is not valid UTF-8/),
      expect.stringMatching(/notes\/dir is not saved: it is a symbolic link/),
      expect.stringMatching(/notes\/huge\.bin is not saved/),
      expect.stringMatching(/notes\/link\.md is not saved: it is a symbolic link/),
      expect.stringMatching(/notes\/pipe is not saved: it is neither a file nor a folder/),
      expect.stringMatching(/notes\/was\.md is not saved: it is a symbolic link/),
    ]);
    await bench.write(store, "/dir/in.md", "changed");
    await bench.write(store, "/was.md", "changed");
    expect(await afterCall(memory)).toEqual([]);
    await memory.rest();
    expect(await bench.contents(store)).toEqual({
      "/was.md": "changed",
      "/dir/in.md": "changed",
      "/other.md": "o",
      "/good.md": "good",
    });
    expect(readFileSync(secret, "utf8")).toBe("host secret");
    expect([lstatSync(real("/was.md")).isSymbolicLink(), existsSync(join(bench.dataDir, "in.md"))]).toEqual([
      true,
      false,
    ]);
    rmSync(real("/big.md"));
    put("/big.md", "small");
    await afterCall(memory);
    expect(await bench.contents(store)).toHaveProperty(["/big.md"], "small");
  });

  test("a memory whose place a link or a folder of the agent has taken is told of, and nothing is written through it", async () => {
    const { store, memory } = await bench.mounted({});
    const outside = join(bench.dataDir, "outside");
    mkdirSync(outside);
    symlinkSync(outside, real("/dir"));
    mkdirSync(real("/folder/deep"), { recursive: true });
    symlinkSync(join(outside, "made"), real("/folder/deep/link"));
    await bench.write(store, "/dir2/in.md", "fine");
    await bench.write(store, "/folder", "text");
    await afterCall(memory);
    expect(has("/dir2/in.md")).toBe("fine");
    expect(lstatSync(real("/folder")).isDirectory()).toBe(true);
    await bench.write(store, "/dir/in.md", "must not get out");
    await memory.rest();
    expect(existsSync(join(outside, "in.md"))).toBe(false);
  });

  test("a full store says so; the file stays", async () => {
    const { store, memory } = await bench.mounted({});
    const row = await bench.records.get("memory_store", store);
    if (row === null) throw new Error("no store");
    const body = { ...(row.body as object), memories: 2000 };
    await bench.records.write([{ op: "replace", record: { ...row, body }, revision: row.revision }]);
    put("/one.md", "1");
    expect(await afterCall(memory)).toEqual([expect.stringMatching(/one\.md is not saved: .*2000 memories/)]);
    expect(await afterCall(memory)).toEqual([]);
    expect(has("/one.md")).toBe("1");
  });

  test("a folder that holds too much is not looked through, and nothing is taken for deleted", async () => {
    const store = await bench.store({ "/a.md": "1", "/b.md": "2" });
    const small = new EmbeddedMemoryFiles(bench.layout, { files: 5, folders: 5 });
    const memory = bench.open([bench.mount(store)], { files: small });
    await memory.mount(() => undefined);
    for (let i = 0; i < 5; i += 1) put(`/many/${i}`, "");
    rmSync(real("/a.md"));
    expect(await afterCall(memory)).toEqual([expect.stringMatching(/cannot be looked through/)]);
    await memory.rest();
    expect(await bench.contents(store)).toEqual({ "/a.md": "1", "/b.md": "2" });
    rmSync(real("/many"), { recursive: true });
    mkdirSync(real("/1/2/3/4/5/6"), { recursive: true });
    await memory.rest();
    expect(await bench.contents(store)).toEqual({ "/a.md": "1", "/b.md": "2" });
    rmSync(real("/1"), { recursive: true });
    await afterCall(memory);
    await memory.rest();
    expect(await bench.contents(store)).toEqual({ "/b.md": "2" });
  });
});

describe("what goes while it is looked at", () => {
  test("a folder that may be listed and no more hides its memories; they are not deleted", async () => {
    const { store, memory } = await bench.mounted({ "/dir/in.md": "1", "/b.md": "2" });
    const nobody = 65_534;
    for (const path of [bench.dataDir, bench.layout.dir, bench.layout.memory]) chmodSync(path, 0o777);
    chmodSync(real("/dir"), 0o644);
    const isRoot = process.geteuid?.() === 0;
    // Root may look into every folder.
    if (isRoot) process.seteuid?.(nobody);
    try {
      await memory.rest();
    } finally {
      if (isRoot) process.seteuid?.(0);
      chmodSync(real("/dir"), 0o755);
    }
    expect(await bench.contents(store)).toEqual({ "/dir/in.md": "1", "/b.md": "2" });
  });

  test("a link in the place of a folder does not tell what is in another folder of this disk", async () => {
    const { store, memory } = await bench.mounted({ "/dir/in.md": "1", "/b.md": "2" });
    const outside = join(bench.dataDir, "outside");
    mkdirSync(outside);
    writeFileSync(join(outside, "secret-name"), "x");
    // Put there between the look at the mount and the look into the folder.
    const { opendir } = fs;
    vi.spyOn(fs, "opendir").mockImplementation(async (path, ...more) => {
      const folder = await opendir(path as string, ...(more as []));
      if (path !== real("/dir")) return folder;
      await folder.close();
      rmSync(real("/dir"), { recursive: true });
      symlinkSync(outside, real("/dir"));
      return opendir(path as string, ...(more as []));
    });
    syncBuiltinESMExports();
    memory.begin();
    expect((await memory.afterCall()).join()).not.toContain("secret-name");
    vi.restoreAllMocks();
    syncBuiltinESMExports();
    expect(await bench.contents(store)).toEqual({ "/dir/in.md": "1", "/b.md": "2" });
  });

  test("a sandbox that was removed in this moment does not come back", async () => {
    const { store } = await bench.mounted({ "/a.md": "1" });
    const files = new EmbeddedMemoryFiles(bench.layout);
    rmSync(bench.layout.dir, { recursive: true });
    await expect(files.keep(store, "x")).rejects.toThrow(/ENOENT/);
    expect(existsSync(bench.layout.dir)).toBe(false);
  });
});
