import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { knownSecrets } from "../../contract/secrets/testing/known.ts";
import { scrubBytes, scrubStrings } from "./scrub.ts";

const SECRET = "canary-Zq8vL2mN4xR7tY1wB5";
const ODD = "pässwörd-你好-0123456789";

async function through(bytes: Buffer, chunk: number, ...secrets: string[]): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunk) chunks.push(bytes.subarray(at, at + chunk));
  return Buffer.concat(
    await Readable.from(chunks)
      .pipe(scrubBytes(knownSecrets(...secrets)))
      .toArray(),
  );
}

test("bytes of any kind come out as they went in, but for values in them", async () => {
  const noise = randomBytes(200_000);
  expect((await through(noise, 1_000, SECRET)).equals(noise)).toBe(true);
  expect((await through(noise, 65_536)).equals(noise)).toBe(true);
  const bytes = Buffer.concat([noise, Buffer.from(`${SECRET}${ODD}`), noise, Buffer.from(btoa(SECRET))]);
  for (const chunk of [7, 4_096, 1_000_000]) {
    const clean = await through(bytes, chunk, SECRET, ODD);
    expect(clean).toHaveLength(bytes.length);
    expect(clean.includes(SECRET)).toBe(false);
    expect(clean.includes("pässwörd")).toBe(false);
    expect(clean.includes(btoa(SECRET).slice(2, -4))).toBe(false);
    expect(clean.subarray(0, noise.length).equals(noise)).toBe(true);
  }
});

test("every string of a value is masked, and a value without one is handed back itself", () => {
  const secrets = knownSecrets(SECRET);
  const changes = [{ path: "a", patch: `+KEY=${SECRET}\n`, added: 3, binary: null }];
  expect(scrubStrings(changes, secrets)).toEqual([{ ...changes[0], patch: `+KEY=${"*".repeat(SECRET.length)}\n` }]);
  const clean = [{ path: "b" }];
  expect(scrubStrings(clean, secrets)).toBe(clean);
});
