import { expect, test } from "vitest";
import { Demux, Tail } from "./demux.ts";

function frame(kind: number, text: string): Buffer {
  const header = Buffer.alloc(8);
  header[0] = kind;
  header.writeUInt32BE(Buffer.byteLength(text), 4);
  return Buffer.concat([header, Buffer.from(text)]);
}

test("takes frames apart, however the bytes are cut", () => {
  const bytes = Buffer.concat([frame(1, "one"), frame(2, "err"), frame(1, ""), frame(1, "two"), frame(2, "or")]);
  for (let size = 1; size <= bytes.length; size += 1) {
    let [out, err] = ["", ""];
    const demux = new Demux(
      (part) => (out += part.toString()),
      (part) => (err += part.toString()),
    );
    for (let at = 0; at < bytes.length; at += size) demux.feed(bytes.subarray(at, at + size));
    expect([size, out, err]).toEqual([size, "onetwo", "error"]);
  }
});

test("keeps only the end of what is long", () => {
  const tail = new Tail(5);
  for (const text of ["ab", "cdefgh", "i", ""]) tail.add(Buffer.from(text));
  expect(tail.text()).toBe("efghi");
});
