import { expect, test } from "vitest";
import { printKey } from "../../vault/prints/keys.ts";
import { Prints } from "../../vault/prints/prints.ts";
import { SecretScanner } from "./scanner.ts";
import { StreamMask } from "./stream_mask.ts";
import { knownSecrets } from "./testing/known.ts";

const LAUNCH = "ab".repeat(32);
const KEY = "sk-ant-api03-Zq8_vL2-mN4xR7tY1wB5";
const PEM = `-----BEGIN PRIVATE KEY-----\n${"MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n".repeat(3)}kAbc=\n-----END PRIVATE KEY-----\n`;
const ODD = 'pä"ss\\word/<1>+ü 你好';

const stars = (text: string): string => "*".repeat(text.length);

test("nothing known changes nothing, and texts without a value come back as they are", () => {
  const none = knownSecrets();
  expect(none.active).toBe(false);
  const text = `anything ${KEY}`;
  expect(none.mask(text)).toBe(text);
  const some = knownSecrets(KEY);
  for (const clean of ["", "short", "x".repeat(100_000), "sk-ant-api03-Zq8_vL2-mN4xR7tY1wB", "日本語のテキスト🙂"]) {
    expect(some.mask(clean)).toBe(clean);
  }
});

test("a value is masked at its length wherever it stands", () => {
  const scanner = knownSecrets(KEY, "8letters");
  for (const [before, after] of [
    ["", ""],
    ["key=", ""],
    ["", "!"],
    ["\\", "n"],
    ["🙂", "\ud83d"],
    ["n", "n"],
    [KEY, KEY],
  ]) {
    const masked = scanner.mask(`${before}${KEY}${after}`);
    expect(masked).toBe(before === KEY ? stars(KEY + KEY + KEY) : `${before}${stars(KEY)}${after}`);
  }
  expect(scanner.mask("x8letters8lettersy")).toBe(`x${"*".repeat(16)}y`);
  expect(scanner.mask(KEY.slice(0, -1))).toBe(KEY.slice(0, -1));
});

const encodings: Record<string, (text: string) => string> = {
  json: (text) => JSON.stringify({ text }),
  "json in json in json": (text) => JSON.stringify(JSON.stringify(JSON.stringify({ text }))),
  "json with slashes escaped": (text) => JSON.stringify(text).replaceAll("/", "\\/"),
  "ascii json": (text) =>
    JSON.stringify(text).replace(/[^\0-\x7f]/g, (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`),
  url: encodeURIComponent,
  "form url": (text) => new URLSearchParams({ text }).toString(),
  "url in json": (text) => JSON.stringify({ url: `https://x/?q=${encodeURIComponent(text)}` }),
  base64: (text) => Buffer.from(text).toString("base64"),
  "base64 after one byte": (text) => Buffer.from(`x${text}yy`).toString("base64"),
  "base64 after two bytes": (text) => Buffer.from(`xx${text}y`).toString("base64"),
  "basic authentication": (text) => Buffer.from(`user:${text}`).toString("base64"),
  base64url: (text) => Buffer.from(`x${text}`).toString("base64url"),
  "wrapped base64": (text) => Buffer.from(text.repeat(4)).toString("base64").replace(/.{20}/g, "$&\n"),
  "wrapped base64 in json": (text) =>
    JSON.stringify(Buffer.from(text.repeat(4)).toString("base64").replace(/.{20}/g, "$&\r\n")),
  "UTF-8 read as Latin-1": (text) => Buffer.from(text).toString("latin1"),
};

/** What is left of the value's middle, in any decoding, after masking. */
const middle = (text: string): string => text.slice(3, -3);

for (const [name, encode] of Object.entries(encodings)) {
  test(`${name} does not hide a value`, () => {
    for (const secret of [KEY, ODD, "a+b/c==d?e&f g"]) {
      const scanner = knownSecrets(secret);
      const encoded = encode(secret);
      const masked = scanner.mask(`before ${encoded} after`);
      expect(masked, encoded).toHaveLength(`before ${encoded} after`.length);
      expect(masked, encoded).toContain("****");
      const plain = encoded.replace(/[\\\r\n]/g, "");
      expect(masked.replace(/[\\\r\n]/g, "")).not.toContain(plain.slice(8, -8).slice(2, -2) || plain);
      expect(masked).not.toContain(middle(secret));
    }
  });
}

test("lines of a key file and fields of a JSON document are values of their own", () => {
  const document = JSON.stringify({ type: "service_account", private_key: PEM, token: "tok-0123456789abcdef" });
  const scanner = knownSecrets(PEM, document);
  expect(scanner.mask(PEM)).not.toMatch(/MII|kAbc/);
  expect(scanner.mask(PEM.replaceAll("\n", "\r\n"))).not.toMatch(/MII/);
  expect(scanner.mask("  MIIEvQIBADANBgkqhkiG9w0BAQEFAASC  # first line")).not.toContain("MII");
  expect(scanner.mask(JSON.stringify(JSON.parse(document), null, 4))).not.toMatch(/MII|tok-/);
  // The fence of a key file is no secret.
  expect(scanner.mask("-----BEGIN PRIVATE KEY-----")).toContain("BEGIN");
});

test("values shorter than 8 characters are not scrubbed, values that overlap are masked whole", () => {
  const scanner = knownSecrets("seven77", "abcdefgh", "efghijklmnop", "abcdefghQRSTUV");
  expect(scanner.mask("seven77")).toBe("seven77");
  expect(scanner.mask("-abcdefghijklmnop-")).toBe(`-${"*".repeat(16)}-`);
  expect(scanner.mask("-abcdefghQRSTUV-")).toBe(`-${"*".repeat(14)}-`);
  expect(scanner.mask("-abcdefghQRSTUW-")).toBe(`-${"*".repeat(8)}QRSTUW-`);
});

test("random values in random texts: exactly what a plain search finds", () => {
  let state = 7;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return (state >>> 8) % below;
  };
  // Few letters, so that beginnings and ends of values are met again and again.
  const word = (length: number): string => Array.from({ length }, () => "abc"[random(3)]).join("");
  for (let round = 0; round < 30; round++) {
    const secrets = Array.from({ length: 6 }, () => word(8 + random(6)));
    const scanner = knownSecrets(...secrets);
    const text = word(3_000);
    const hidden = new Set<number>();
    for (const secret of secrets) {
      for (let at = text.indexOf(secret); at !== -1; at = text.indexOf(secret, at + 1)) {
        for (let index = at; index < at + secret.length; index++) hidden.add(index);
      }
    }
    const expected = [...text].map((sign, index) => (hidden.has(index) ? "*" : sign)).join("");
    expect(scanner.mask(text)).toBe(expected);
    // In pieces of any size, and with pauses, the same comes out.
    const stream = new StreamMask(scanner);
    let out = "";
    for (let at = 0; at < text.length; ) {
      const size = 1 + random(40);
      out += stream.push(text.slice(at, at + size));
      at += size;
    }
    const end = stream.end();
    // Only the tail may be masked beyond it: it could have been the beginning of a value.
    const whole = out + end;
    expect(whole).toHaveLength(text.length);
    expect(whole.slice(0, -14)).toBe(expected.slice(0, -14));
  }
});

test("a text of nothing but beginnings takes time in proportion to its length only", () => {
  const scanner = knownSecrets(`sk-ant-a${"Q".repeat(30_000)}!end-of-it`);
  let digests = 0;
  const key = printKey(LAUNCH);
  const mac = (text: string): string => {
    digests++;
    return key.mac(text);
  };
  const counting = new SecretScanner({ ...key, mac });
  const prints = new Prints(LAUNCH, [`sk-ant-a${"Q".repeat(2_000)}!end-of-it`]);
  counting.add(prints.all());
  const text = "sk-ant-a".repeat(100_000);
  expect(counting.mask(text)).toBe(text);
  expect(digests).toBe(0);
  expect(scanner.mask(text)).toBe(text);
});

test("a stream holds back what may be a value, shows the rest when nothing comes, and masks a cut-off beginning", () => {
  const stream = new StreamMask(knownSecrets(KEY));
  expect(stream.push("Hello, world")).toBe("Hello");
  expect(stream.pause()).toBe(", world");
  expect(stream.pause()).toBe("");
  expect(stream.push(`: ${KEY.slice(0, 12)}`)).toBe(": ");
  // 8 of its letters are there: no pause shows them.
  expect(stream.pause()).toBe("");
  // All of it is there, and its last letters may begin another one.
  expect(stream.push(KEY.slice(12))).toBe("");
  expect(stream.push(" and on it goes")).toBe(`${stars(KEY)} and on `);
  expect(stream.end()).toBe("it goes");
  expect(stream.push(`x${KEY.slice(0, 20)}`)).toBe("x");
  expect(stream.end()).toBe("*".repeat(20));
});

test("a value that comes in drops shows its first 7 letters at most", () => {
  const stream = new StreamMask(knownSecrets(KEY));
  let out = "";
  for (const letter of `-${KEY}-`) out += stream.push(letter) + stream.pause();
  out += stream.end();
  expect(out).toBe(`-${KEY.slice(0, 7)}${"*".repeat(KEY.length - 7)}-`);
});

test("no frame is cut between the halves of a character", () => {
  const stream = new StreamMask(knownSecrets(KEY));
  const pieces = [..."🙂🙃🙂🙃🙂🙃🙂🙃"].map((sign) => stream.push(sign));
  pieces.push(stream.end());
  expect(pieces.every((piece) => piece.isWellFormed())).toBe(true);
  expect(pieces.join("")).toBe("🙂🙃🙂🙃🙂🙃🙂🙃");
});
