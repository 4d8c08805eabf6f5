import { afterAll, beforeAll, expect, test } from "vitest";
import { MAX_OUTPUTS } from "../../../contract/local_api.ts";
import { BUSYBOX_IMAGE } from "../testing/real_engine.ts";
import { listOutputs, readOutput } from "./outputs.ts";
import { type BareContainer, bareContainer } from "./testing/bare_container.ts";

let box: BareContainer;
beforeAll(async () => {
  box = await bareContainer();
});
afterAll(() => box[Symbol.asyncDispose]());

async function text(path: string, from = box): Promise<string | null> {
  const found = await readOutput(from.container, path);
  if (found === null) return null;
  const chunks: Buffer[] = [];
  for await (const chunk of found.stream) chunks.push(chunk as Buffer);
  const bytes = Buffer.concat(chunks);
  expect(bytes.length).toBe(found.size);
  return bytes.toString();
}

const PREPARE = `cd /mnt/session/outputs && mkdir -p 'a b' deep/er && echo hi > 'a b/x.txt' && : > empty && echo d > deep/er/d.bin &&
ln -s /etc/passwd link && ln -s /etc folder && ln -s 'a b' inside && mkfifo pipe && ln empty hard && echo x > "$(printf 'new\\nline')" && echo x > "$(printf 'caf\\351')" &&
echo u > 'ünï' && echo dash > ./-dash && touch -d @1700000000 'a b/x.txt'`;
const EXPECTED = ["-dash", "a b/x.txt", "deep/er/d.bin", "empty", "hard", "ünï"];

test("regular files are listed and read; nothing else is, running or stopped", async () => {
  for (const image of [undefined, BUSYBOX_IMAGE]) {
    await using own = await bareContainer(image === undefined ? {} : { image });
    expect(await listOutputs(own.container)).toEqual([]);
    await own.sh(PREPARE);
    const running = await listOutputs(own.container);
    expect(running.map(({ path }) => path)).toEqual(EXPECTED);
    expect(running[1]).toEqual({ path: "a b/x.txt", size: 3, modified_at: "2023-11-14T22:13:20.000Z" });
    const check = async (): Promise<void> => {
      expect(await text("a b/x.txt", own)).toBe("hi\n");
      expect(await text("empty", own)).toBe("");
      expect(await text("-dash", own)).toBe("dash\n");
      const refused = [
        "link",
        "folder/passwd",
        "folder",
        "inside/x.txt",
        "pipe",
        "a b",
        "missing",
        "new\nline",
        "../outputs/empty",
      ];
      for (const path of [...refused, "/etc/passwd", "", ".", "a b//x.txt", "deep/../empty"]) {
        expect([path, await text(path, own)]).toEqual([path, null]);
      }
    };
    await check();
    await own.stop();
    expect(await listOutputs(own.container)).toEqual(running);
    await check();
  }
});

test("100,000 files are a bounded list", async () => {
  await box.sh("mkdir -p /mnt/session/outputs/many && cd /mnt/session/outputs/many && seq 1 100000 | xargs touch");
  const started = Date.now();
  expect(await listOutputs(box.container)).toHaveLength(MAX_OUTPUTS + 1);
  expect(Date.now() - started).toBeLessThan(20_000);
  await box.sh("rm -rf /mnt/session/outputs/many");
});

test("a gigabyte is streamed, and a reader that leaves ends it", async () => {
  await box.sh("truncate -s 1G /mnt/session/outputs/big.bin");
  const before = process.memoryUsage().rss;
  const found = await readOutput(box.container, "big.bin");
  expect(found?.size).toBe(1024 ** 3);
  let bytes = 0;
  let peak = 0;
  for await (const chunk of found?.stream ?? []) {
    bytes += (chunk as Buffer).length;
    peak = Math.max(peak, process.memoryUsage().rss);
  }
  expect(bytes).toBe(1024 ** 3);
  expect(peak - before).toBeLessThan(200 * 1024 * 1024);

  const left = await readOutput(box.container, "big.bin");
  for await (const _ of left?.stream ?? []) break;
  expect(left?.stream.destroyed).toBe(true);
  const unread = await readOutput(box.container, "big.bin");
  unread?.stream.destroy();
  // The engine still answers: its connections were given back.
  expect((await listOutputs(box.container)).map(({ path }) => path)).toEqual(["big.bin"]);
});
