import { expect, test } from "vitest";
import { packSkill, unpackSkill } from "./skill_pack.ts";

const files = [
  { path: "b/é.sh", executable: true, bytes: new TextEncoder().encode("#!/bin/sh\n") },
  { path: "SKILL.md", executable: false, bytes: new Uint8Array() },
];

test("what is packed comes back, sorted, from any place in memory", () => {
  const packed = packSkill(files);
  expect(packSkill([...files].reverse())).toEqual(packed);
  const inside = new Uint8Array(packed.length + 7).subarray(5, 5 + packed.length);
  inside.set(packed);
  expect(unpackSkill(inside)).toEqual([files[1], files[0]]);
});

test("damaged bytes are not taken for files", () => {
  const packed = packSkill(files);
  for (const bytes of [packed.subarray(0, 2), packed.subarray(0, 20), packed.subarray(0, -1), new Uint8Array(9)]) {
    expect(() => unpackSkill(bytes)).toThrow();
  }
});
