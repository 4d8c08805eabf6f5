import { describe, expect, test } from "vitest";
import type { DockerContainer } from "../../container/container.ts";
import { diskFullText } from "./disk.ts";

/** A container whose `df` prints these lines. */
function container(lines: string): DockerContainer {
  return { exec: () => Promise.resolve({ stdout: Buffer.from(lines), exitCode: 0 }) } as unknown as DockerContainer;
}

const ROOM = "overlay 307200 100 307100 1% /\ntmpfs 65536 0 65536 0% /tmp\n";
const FULL = "overlay 307200 307200 0 100% /\ntmpfs 65536 0 65536 0% /tmp\n";
const FULL_TMP = "overlay 307200 100 307100 1% /\nshm 65536 65536 0 100% /tmp\n";

describe("a failure", () => {
  test("that could say next to nothing is explained by a full disk, with what to do", async () => {
    const text = await diskFullText(container(FULL), "exit 1");
    expect(text).toMatch(/sandbox's disk is full: 0 KB are free.*Remove files in the sandbox.*engine keeps its data/);
  });

  test("with room on the disk, or of another kind, is left as it is", async () => {
    expect(await diskFullText(container(ROOM), "exit 1")).toBe(null);
    const long = `${"a test failed\n".repeat(20)}`;
    expect(await diskFullText(container(FULL), long)).toBe(null);
    expect(await diskFullText(container(FULL), `${long}: No space left on device`)).not.toBe(null);
  });

  test("of a full /tmp says that it is /tmp", async () => {
    expect(await diskFullText(container(FULL_TMP), "cat: write error: No space left on device")).toMatch(
      /^\/tmp is full/,
    );
    expect(await diskFullText(container(FULL_TMP), "exit 1")).toBe(null);
  });

  test("that nobody can look into is left as it is", async () => {
    expect(await diskFullText(container("sh: df: not found\n"), "exit 1")).toBe(null);
    const gone = { exec: () => Promise.reject(new Error("gone")) } as unknown as DockerContainer;
    expect(await diskFullText(gone, "exit 1")).toBe(null);
  });
});
