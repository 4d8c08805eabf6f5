import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { describe, expect, test, vi } from "vitest";
import { boundedBody } from "./bounded_body.ts";

const LIMIT = 100;

async function read(
  chunks: readonly string[],
  stream: boolean,
): Promise<{ text: string; failed: boolean; ends: number }> {
  const onEnd = vi.fn();
  const source = Readable.from(chunks.map((chunk) => Buffer.from(chunk)));
  const body = boundedBody(source as unknown as IncomingMessage, stream, onEnd, LIMIT);
  let text = "";
  let failed = false;
  try {
    for await (const chunk of body) text += new TextDecoder().decode(chunk);
  } catch {
    failed = true;
  }
  return { text, failed, ends: onEnd.mock.calls.length };
}

describe("a body", () => {
  test.each([false, true])("within the limit passes unchanged (event stream: %s)", async (stream) => {
    expect(await read(["a".repeat(60), "b".repeat(40)], stream)).toEqual({
      text: "a".repeat(60) + "b".repeat(40),
      failed: false,
      ends: 1,
    });
  });

  test.each([false, true])(
    "beyond it fails, before what is too much is handed on (event stream: %s)",
    async (stream) => {
      const { text, failed, ends } = await read(["a".repeat(60), "b".repeat(41)], stream);
      expect({ text, failed, ends }).toEqual({ text: "a".repeat(60), failed: true, ends: 1 });
    },
  );

  test.each(["\n\n", "\r\n\r\n", "\r\r", "\n\r\n"])(
    "of events may be long, each ended by %j, in any pieces",
    async (end) => {
      const text = `data: ${"x".repeat(80)}${end}`.repeat(20);
      for (const size of [1, 2, 3, 7, 90]) {
        const pieces = Array.from({ length: Math.ceil(text.length / size) }, (_, at) =>
          text.slice(at * size, (at + 1) * size),
        );
        expect(await read(pieces, true)).toEqual({ text, failed: false, ends: 1 });
      }
      expect((await read([text], false)).failed).toBe(true);
    },
  );

  test.each(["\n", "\r\n", "\r"])("of one event in many lines, ended by %j, is bounded all the same", async (line) => {
    const pieces = [...`data: x${line}`.repeat(30)];
    expect((await read(pieces, true)).failed).toBe(true);
  });

  test("that nobody wants any more is let go", async () => {
    const onEnd = vi.fn();
    const source = new Readable({ read: () => undefined });
    const body = boundedBody(source as unknown as IncomingMessage, true, onEnd, LIMIT);
    await body.cancel();
    expect(source.destroyed).toBe(true);
    expect(onEnd).toHaveBeenCalledTimes(1);
  });
});
