/** Writes a source tree to a folder of its own. */

import { once } from "node:events";
import { constants, createWriteStream } from "node:fs";
import { chmod, copyFile, mkdir, symlink, utimes } from "node:fs/promises";
import { dirname, join } from "node:path";
import { gitExit, startGit } from "./git.ts";
import type { SourceFile, SourceTree } from "./repository.ts";

const COPIED_AT_ONCE = 16;

/** Copies every file of `tree` into the empty folder `target`. The work tree is only read. */
export async function copyTree(tree: SourceTree, target: string): Promise<void> {
  const folders = new Set(tree.files.map((file) => dirname(file.path)));
  for (const folder of folders) await mkdir(join(target, folder), { recursive: true });
  await fromObjects(tree, target);
  const waiting = tree.files.filter((file) => file.content.from !== "objects").values();
  const worker = async (): Promise<void> => {
    for (const file of waiting) await fromDisk(file, tree.top, target);
  };
  await Promise.all(Array.from({ length: COPIED_AT_ONCE }, worker));
}

async function fromDisk(file: SourceFile, top: string, target: string): Promise<void> {
  const to = join(target, file.path);
  if (file.content.from === "link") return symlink(file.content.target, to);
  if (file.content.from !== "disk") return;
  try {
    // Shares the blocks where the file system can; nothing is copied then.
    await copyFile(join(top, file.path), to, constants.COPYFILE_FICLONE);
  } catch (error) {
    // Deleted since it was listed: it is not part of the work tree any more.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  await chmod(to, modeOf(file));
  const time = file.content.mtimeMs / 1000;
  await utimes(to, time, time);
}

function modeOf(file: SourceFile): number {
  return file.executable ? 0o755 : 0o644;
}

/** Reads committed contents byte for byte from one git process: no filter or line-ending conversion takes part. */
async function fromObjects(tree: SourceTree, target: string): Promise<void> {
  const files = tree.files.flatMap((file) => (file.content.from === "objects" ? [{ file, id: file.content.id }] : []));
  if (files.length === 0) return;
  const child = await startGit(["cat-file", "--batch"], { cwd: tree.top });
  const ended = gitExit(child, "cat-file");
  // Reading below fails with it; this only keeps it from being unhandled until then.
  ended.catch(() => undefined);
  child.stdin.end(files.map(({ id }) => `${id}\n`).join(""));
  const reader = new ByteReader(child.stdout);
  for (const { file, id } of files) {
    const header = await reader.line();
    const [, type, size] = header.split(" ");
    if (type !== "blob") {
      await ended;
      throw new Error(`The repository has no content for ${file.path} (${id}).`);
    }
    const output = createWriteStream(join(target, file.path), { mode: modeOf(file) });
    await once(output, "open");
    for await (const chunk of reader.bytes(Number(size))) {
      if (!output.write(chunk)) await once(output, "drain");
    }
    output.end();
    await once(output, "finish");
    await reader.bytes(1).next();
  }
  await ended;
}

/** Takes lines and runs of bytes from a stream. */
class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(stream: AsyncIterable<Buffer>) {
    this.#chunks = stream[Symbol.asyncIterator]();
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf(0x0a);
      if (end >= 0) {
        const line = this.#rest.subarray(0, end).toString();
        this.#rest = this.#rest.subarray(end + 1);
        return line;
      }
      if (!(await this.#more())) return "";
    }
  }

  async *bytes(count: number): AsyncGenerator<Buffer> {
    let left = count;
    while (left > 0) {
      if (this.#rest.length === 0 && !(await this.#more())) throw new Error("git ended in the middle of a file.");
      const chunk = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(chunk.length);
      left -= chunk.length;
      yield chunk;
    }
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    if (done === true) return false;
    this.#rest = Buffer.concat([this.#rest, value]);
    return true;
  }
}
