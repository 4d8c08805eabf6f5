import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SseParser } from "./sse.ts";

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

describe("SseParser", () => {
  it("joins data lines and skips comments and other fields", () => {
    const text = ': keep-alive\n\nevent: stored\r\nid: 7\r\ndata: {"a":\r\ndata: 1}\r\n\r\ndata:x\n\nevent: empty\n\n';
    expect(new SseParser().push(bytes(text))).toEqual(['{"a":\n1}', "x"]);
  });

  it("gives nothing for an event that is cut off", () => {
    expect(new SseParser().push(bytes('data: {"half"'))).toEqual([]);
    expect(new SseParser().push(bytes("data: whole\n"))).toEqual([]);
  });

  it("gives the same events however the bytes are cut, inside characters too", () => {
    const event = fc
      .string({ unit: "grapheme" })
      .map((text) => text.replace(/[\r\n]/g, ""))
      .filter((text) => text !== "");
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.integer({ min: 1, max: 7 })), (events, sizes) => {
        const all = bytes(events.map((text) => `event: x\ndata: ${text}\n\n`).join(""));
        const parser = new SseParser();
        const out: string[] = [];
        let at = 0;
        for (let i = 0; at < all.length; i++) {
          const size = sizes[i % Math.max(1, sizes.length)] ?? 3;
          out.push(...parser.push(all.subarray(at, at + size)));
          at += size;
        }
        expect(out).toEqual(events);
      }),
    );
  });
});
