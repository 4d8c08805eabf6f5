import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  encodedValue,
  holdsPlaceholder,
  type Replacement,
  Replacer,
  replaceAll,
  replaceInHeader,
} from "./placeholders.ts";

const A = "lhv_aaaaaaaaaaaaaaaa";
const B = "lhv_bbbbbbbbbbbbbbbb";
const VALUE = "a\"b\\c&<d>'é\n/";

function replacements(values: Record<string, string>): { all: Replacement[]; used: string[] } {
  const used: string[] = [];
  const all = Object.entries(values).map(([placeholder, value]) => {
    return { placeholder, value, onUse: () => void used.push(placeholder) };
  });
  return { all, used };
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString("base64")}`;

describe("headers", () => {
  test.each([
    ["alone", A, "one"],
    ["after a scheme", `Bearer ${A}`, "Bearer one"],
    ["twice, and beside another", `${A}${A}, ${B};`, "oneone, two;"],
    ["in Basic credentials", basic(`me:${A}`), basic("me:one")],
    ["both halves of Basic", basic(`${B}:${A}`), basic("two:one")],
    [
      "Basic in another case",
      basic(`me:${A}`).replace("Basic", "bASIC  "),
      basic("me:one").replace("Basic", "bASIC  "),
    ],
    ["not there", "Bearer lhv_aaaaaaaaaaaaaaa", "Bearer lhv_aaaaaaaaaaaaaaa"],
    ["Basic without it stays byte for byte", "Basic bWU6eHg", "Basic bWU6eHg"],
  ])("%s", (_name, text, expected) => {
    expect(replaceInHeader(text, replacements({ [A]: "one", [B]: "two" }).all)).toBe(expected);
  });

  test("a value beyond ASCII goes as UTF-8", () => {
    const replaced = replaceInHeader(A, replacements({ [A]: "pässwörd" }).all);
    expect(Buffer.from(replaced ?? "", "latin1").toString("utf8")).toBe("pässwörd");
    const inBasic = replaceInHeader(basic(`me:${A}`), replacements({ [A]: "pässwörd" }).all);
    expect(inBasic).toBe(basic("me:pässwörd"));
  });

  test.each(["a\r\nb: c", "a\nb", "a\0b", "a\x7fb"])(
    "a value that would break the header does not fit: %j",
    (value) => {
      expect(replaceInHeader(`x ${A}`, replacements({ [A]: value }).all)).toBeNull();
      // Base64 carries it: whatever the server makes of it is inside its credentials.
      expect(replaceInHeader(basic(`me:${A}`), replacements({ [A]: value }).all)).toBe(basic(`me:${value}`));
    },
  );

  test("a header that would grow beyond what any server takes does not fit", () => {
    const text = A.repeat(50);
    expect(replaceInHeader(text, replacements({ [A]: "v".repeat(30_000) }).all)).toBeNull();
    expect(replaceInHeader(basic(text), replacements({ [A]: "v".repeat(30_000) }).all)).toBeNull();
  });

  test("a placeholder is found where it would be replaced", () => {
    expect(holdsPlaceholder(`Bearer ${A}`, A)).toBe(true);
    expect(holdsPlaceholder(basic(`me:${A}`), A)).toBe(true);
    expect(holdsPlaceholder(basic(`me:${A}`), B)).toBe(false);
  });
});

describe("bodies", () => {
  test("a value keeps what is around it well-formed", () => {
    expect(JSON.parse(`{"k":"x${encodedValue(VALUE, "json")}"}`)).toEqual({ k: `x${VALUE}` });
    expect(new URLSearchParams(`k=x${encodedValue(`${VALUE} +!'()*%`, "form")}&m=1`).get("k")).toBe(
      `x${VALUE} +!'()*%`,
    );
    expect(encodedValue(VALUE, "xml")).toBe("a&quot;b\\c&amp;&lt;d&gt;&apos;é\n/");
    expect(encodedValue(VALUE, "plain")).toBe(VALUE);
    // A lone surrogate is no text: it must not end the broker.
    expect(encodedValue("\ud800", "form")).toBe("%EF%BF%BD");
  });

  test("whatever the pieces, the result is that of the whole", () => {
    const piece = fc.oneof(
      fc.constantFrom(A, B, A.slice(0, -1), A.slice(1), "lhv_", "lhv_aaaa", "l", "a"),
      fc.string({ maxLength: 6 }),
    );
    fc.assert(
      fc.property(
        fc.array(piece, { maxLength: 12 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
        (texts, sizes) => {
          const whole = Buffer.from(texts.join(""));
          const expected = whole.toString("latin1").replaceAll(A, "<one>").replaceAll(B, "");
          const replacer = new Replacer(replacements({ [A]: "<one>", [B]: "" }).all, "plain");
          const out: Buffer[] = [];
          for (let at = 0; at < whole.length; ) {
            const size = sizes.next().value as number;
            out.push(...replacer.add(whole.subarray(at, at + size)));
            at += size;
          }
          out.push(...replacer.end());
          expect(Buffer.concat(out).toString("latin1")).toBe(expected);
        },
      ),
      { numRuns: 500 },
    );
  });

  test("at every border of two pieces", () => {
    const whole = Buffer.from(`{"a":"${A}","b":"${B}${A}"}`);
    for (let at = 0; at <= whole.length; at++) {
      const { all, used } = replacements({ [A]: 'q"', [B]: "B" });
      const replacer = new Replacer(all, "json");
      const parts = [...replacer.add(whole.subarray(0, at)), ...replacer.add(whole.subarray(at)), ...replacer.end()];
      expect(Buffer.concat(parts).toString()).toBe('{"a":"q\\"","b":"Bq\\""}');
      expect(used).toEqual([A, B, A]);
    }
  });

  test("what cannot be the start of a placeholder is not held back", () => {
    const replacer = new Replacer(replacements({ [A]: "one" }).all, "plain");
    expect(Buffer.concat(replacer.add(Buffer.from("data: x\n\n"))).toString()).toBe("data: x\n\n");
  });

  test("a body that its values would make too large is none", () => {
    const bytes = Buffer.from(A.repeat(1_000));
    expect(replaceAll(bytes, replacements({ [A]: "v".repeat(30_000) }).all, "plain", 1_000_000)).toBeNull();
  });
});
