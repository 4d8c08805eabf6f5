import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { fateOf, NOTE, openInstall, readInstall } from "./install.ts";

let folder: string;
let dataDir: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(`${tmpdir()}/longhaul-install-`));
  dataDir = join(folder, "data");
  mkdirSync(dataDir);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe("the name of an install", () => {
  test("is made once, kept, and read without being made", () => {
    expect(readInstall(dataDir)).toBeNull();
    expect(existsSync(join(dataDir, "install.json"))).toBe(false);
    const made = openInstall(dataDir);
    expect(made).toEqual({ id: expect.stringMatching(/^[0-9a-f]{16}$/), data_dir: dataDir });
    expect(openInstall(dataDir)).toEqual(made);
    expect(readInstall(dataDir)).toEqual(made);
    expect(statSync(join(dataDir, "install.json")).mode & 0o777).toBe(0o600);
  });

  test("goes with a data directory that is moved, and not with a copy", () => {
    const { id } = openInstall(dataDir);
    const copy = join(folder, "copy");
    cpSync(dataDir, copy, { recursive: true });
    expect(openInstall(copy).id).not.toBe(id);
    const moved = join(folder, "moved");
    renameSync(dataDir, moved);
    expect(openInstall(moved)).toEqual({ id, data_dir: moved });
  });

  test("is the same through a symbolic link", () => {
    const { id } = openInstall(dataDir);
    symlinkSync(dataDir, join(folder, "link"));
    expect(openInstall(join(folder, "link"))).toEqual({ id, data_dir: dataDir });
  });

  test("is made anew when the file is damaged", () => {
    openInstall(dataDir);
    writeFileSync(join(dataDir, "install.json"), '{"id":"../../etc"');
    expect(readInstall(dataDir)).toBeNull();
    expect(openInstall(dataDir).id).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe("what became of another install", () => {
  function noteOf(path: string): Record<string, string> {
    const { ino, birthtimeNs } = statSync(dirname(path), { bigint: true });
    return { [NOTE.data_dir]: path, [NOTE.parent]: `${ino}-${birthtimeNs}` };
  }

  test("alive where it says, and where it was moved to beside", () => {
    const { id } = openInstall(dataDir);
    const note = noteOf(dataDir);
    expect(fateOf(id, note).state).toBe("alive");
    renameSync(dataDir, join(folder, "renamed"));
    expect(fateOf(id, note)).toEqual({ state: "alive", why: `its data directory is ${join(folder, "renamed")} now` });
  });

  test("dead when its data directory was deleted from the same folder, or made anew there", () => {
    const { id } = openInstall(dataDir);
    const note = noteOf(dataDir);
    rmSync(dataDir, { recursive: true });
    expect(fateOf(id, note)).toEqual({ state: "dead", why: `its data directory ${dataDir} was deleted` });
    mkdirSync(dataDir);
    openInstall(dataDir);
    expect(fateOf(id, note)).toEqual({ state: "dead", why: `its data directory ${dataDir} was deleted and made anew` });
  });

  test.each<[string, (note: Record<string, string>) => Record<string, string> | null]>([
    ["without a note", () => null],
    ["with half a note", ({ [NOTE.data_dir]: path }) => ({ [NOTE.data_dir]: path ?? "" })],
    ["from another machine, or a disk that is not mounted", (note) => ({ ...note, [NOTE.parent]: "1-2" })],
    ["whose folder is not here", (note) => ({ ...note, [NOTE.data_dir]: "/nonexistent/longhaul/data" })],
  ])("unknown %s", (_, change) => {
    const { id } = openInstall(dataDir);
    const note = noteOf(dataDir);
    rmSync(dataDir, { recursive: true });
    expect(fateOf(id, change(note)).state).toBe("unknown");
  });

  test("unknown when the folder is there without the file that names it", () => {
    const { id } = openInstall(dataDir);
    rmSync(join(dataDir, "install.json"));
    expect(fateOf(id, noteOf(dataDir)).state).toBe("unknown");
  });
});
