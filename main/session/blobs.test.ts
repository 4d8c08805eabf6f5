import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import { describe, expect, test } from "vitest";
import { fileBlobStore, memoryBlobStore } from "./blobs.ts";
import { temporaryDir } from "./testing/temporary_store.ts";

const bytes = Buffer.from("größer als gedacht\0\xff", "latin1");
const sha256 = createHash("sha256").update(bytes).digest("hex");

describe.each([
  ["memory", () => memoryBlobStore()],
  ["files", () => fileBlobStore(path.join(temporaryDir(), "blobs"))],
])("blob store in %s", (_, open) => {
  test("gives back what was put, by the hash of its bytes", async () => {
    const blobs = open();
    expect(await blobs.put(bytes)).toBe(sha256);
    expect(blobs.putSync(bytes)).toBe(sha256);
    expect(Buffer.from(await blobs.get(sha256))).toEqual(bytes);
    expect(Buffer.from(blobs.getSync(sha256))).toEqual(bytes);
    expect(Buffer.from(await blobs.get(await blobs.put(new Uint8Array())))).toHaveLength(0);
  });

  test("names a blob that is missing", async () => {
    const blobs = open();
    await expect(blobs.get(sha256)).rejects.toThrow(`blob ${sha256} is missing`);
    expect(() => blobs.getSync(sha256)).toThrow(`blob ${sha256} is missing`);
  });
});

describe("blob store in files", () => {
  test("a damaged blob is refused, and made whole by the next put", async () => {
    const dir = temporaryDir();
    const blobs = fileBlobStore(dir);
    const file = path.join(dir, sha256.slice(0, 2), sha256);
    for (const damage of [Buffer.from("cut"), Buffer.alloc(bytes.length)]) {
      await blobs.put(bytes);
      fs.writeFileSync(file, damage);
      await expect(blobs.get(sha256)).rejects.toThrow(`blob ${sha256} is damaged`);
      expect(() => blobs.getSync(sha256)).toThrow("damaged");
      blobs.putSync(bytes);
      expect(Buffer.from(blobs.getSync(sha256))).toEqual(bytes);
    }
  });

  test("a name that is no hash reads nothing", async () => {
    const dir = temporaryDir();
    fs.writeFileSync(path.join(dir, "secret"), "x");
    const blobs = fileBlobStore(path.join(dir, "blobs"));
    for (const name of ["../secret", "secret", sha256.toUpperCase(), `${sha256}/..`, ""]) {
      expect(() => blobs.getSync(name)).toThrow("is not the SHA-256 of a blob");
    }
  });

  test("files that a killed process left half-written are removed, fresh ones are not", () => {
    const dir = temporaryDir();
    const folder = path.join(dir, "unfinished");
    fs.mkdirSync(folder);
    for (const name of ["old", "fresh"]) fs.writeFileSync(path.join(folder, name), "half");
    fs.utimesSync(path.join(folder, "old"), 1, 1);
    fileBlobStore(dir).putSync(bytes);
    expect(fs.readdirSync(folder)).toEqual(["fresh"]);
  });

  test("a put that fails says so, names the folder and leaves nothing", async () => {
    const dir = temporaryDir();
    fs.writeFileSync(path.join(dir, sha256.slice(0, 2)), "a file where the folder should be");
    const blobs = fileBlobStore(dir);
    expect(() => blobs.putSync(bytes)).toThrow(new RegExp(`could not be written to ${dir}`));
    await expect(blobs.put(bytes)).rejects.toThrow("could not be written");
    expect(fs.readdirSync(path.join(dir, "unfinished"))).toEqual([]);
  });
});
