/** The files of a skill's version as one body: a length, a list of the files in JSON, then their bytes one after the other. */
import { z } from "zod";
import type { SkillFile } from "./session_skills.ts";

const LENGTH_BYTES = 4;

const heads = z.array(z.strictObject({ path: z.string(), executable: z.boolean(), size: z.int().min(0) }));

/** The same files give the same bytes. */
export function packSkill(files: readonly SkillFile[]): Uint8Array {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  const list = sorted.map(({ path, executable, bytes }) => ({ path, executable, size: bytes.length }));
  const head = new TextEncoder().encode(JSON.stringify(list));
  const size = sorted.reduce((sum, file) => sum + file.bytes.length, LENGTH_BYTES + head.length);
  const packed = new Uint8Array(size);
  new DataView(packed.buffer).setUint32(0, head.length);
  packed.set(head, LENGTH_BYTES);
  let at = LENGTH_BYTES + head.length;
  for (const { bytes } of sorted) {
    packed.set(bytes, at);
    at += bytes.length;
  }
  return packed;
}

/** The files, by path. Throws for a body that {@link packSkill} did not write. */
export function unpackSkill(packed: Uint8Array): SkillFile[] {
  const length = new DataView(packed.buffer, packed.byteOffset, packed.byteLength).getUint32(0);
  let at = LENGTH_BYTES + length;
  const head = new TextDecoder().decode(packed.subarray(LENGTH_BYTES, at));
  const files = heads.parse(JSON.parse(head)).map(({ path, executable, size }) => {
    at += size;
    return { path, executable, bytes: packed.subarray(at - size, at) };
  });
  if (at !== packed.length) throw new Error("The stored files of a skill are damaged.");
  return files;
}
