import { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Redactor } from "./redact.ts";

const SECRET = "sk-ant-canary-a/b+c";

async function through(redactor: Redactor, chunks: Buffer[], max = 1_000_000): Promise<string> {
  const out: Buffer[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      out.push(chunk);
      done();
    },
  });
  await pipeline(Readable.from(chunks), redactor.stream(max), sink);
  return Buffer.concat(out).toString();
}

test("every form of a secret is masked at unchanged length", () => {
  const redactor = new Redactor([SECRET]);
  const forms = [
    SECRET,
    SECRET.replaceAll("/", "\\/"),
    encodeURIComponent(SECRET),
    Buffer.from(SECRET).toString("base64"),
  ];
  const text = `a ${forms.join(" b ")} c`;
  const masked = redactor.text(text);
  expect(masked).toHaveLength(text.length);
  for (const form of forms) expect(masked).not.toContain(form.replace(/=+$/, ""));
  expect(masked.startsWith("a ***")).toBe(true);
});

test.each(["", "u", "me", "you:", "Bearer ", "Basic user:"])(
  "as base64 behind %j and before more it is masked",
  (before) => {
    const masked = new Redactor([SECRET]).text(Buffer.from(`${before}${SECRET} and more`).toString("base64"));
    // What is not masked may be read again: no more of it than its two ends is left.
    expect(Buffer.from(masked, "base64").toString("latin1")).not.toContain(SECRET.slice(1, 5));
    expect(masked).toMatch(/\*{20,}/);
  },
);

test("wherever a stream is cut into chunks, the secret is masked and everything else is kept", async () => {
  const redactor = new Redactor([SECRET]);
  const text = `head sk-ant-cana ${SECRET}${SECRET} sk-ant-canary-a/b tail sk-an`;
  const expected = redactor.text(text);
  expect(expected).not.toContain(SECRET);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(text.length), { maxLength: 12 }), async (cuts) => {
      const at = [0, ...cuts.sort((a, b) => a - b), text.length];
      const chunks = at.slice(1).map((end, i) => Buffer.from(text).subarray(at[i], end));
      expect(await through(redactor, chunks)).toBe(expected);
    }),
  );
});

test("what cannot begin a secret passes at once", () => {
  const redactor = new Redactor([SECRET]);
  const stream = redactor.stream(1000);
  stream.write("data: {}\n\n");
  expect(stream.read()?.toString()).toBe("data: {}\n\n");
  stream.write("ends with sk-ant");
  expect(stream.read()?.toString()).toBe("ends with ");
});

test("an endless body is broken off", async () => {
  await expect(through(new Redactor([]), [Buffer.alloc(60), Buffer.alloc(60)], 100)).rejects.toThrow(
    "larger than 100 bytes",
  );
});

test("a value that is learned is masked from then on, unless it is so short that it is everywhere", () => {
  const redactor = new Redactor([SECRET]);
  expect(redactor.text("new-value and abc")).toBe("new-value and abc");
  redactor.learn(["new-value", "abc", ""]);
  expect(redactor.text(`new-value, ${SECRET} and abc`)).toBe(`*********, ${"*".repeat(SECRET.length)} and abc`);
  expect(redactor.text(JSON.stringify({ basic: Buffer.from("new-value").toString("base64") }))).not.toContain("bmV3");
});

test("without secrets nothing is touched", () => {
  const redactor = new Redactor(["", ""]);
  expect(redactor.active).toBe(false);
  expect(redactor.text("a *** b")).toBe("a *** b");
});
