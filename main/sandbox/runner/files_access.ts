/** Files of a container, by way of the runner. */
import { posix } from "node:path";
import { FILE_ROOTS, FileError, type FileStat, isWithin, PathRefused, type WalkEntry, WORKDIR } from "../machine.ts";
import { type Answer, RequestTimeout, type RunnerClient } from "./client.ts";
import { escapePath, escapeText, unescapePath } from "./frames.ts";
import { RUNNER_STATE_DIR } from "./state_dir.ts";

/** What `op_read` sends at a time. */
const CHUNK_BYTES = 256 * 1024;
const MAX_PATH = 3000;
/** Longer contents follow their line as they are: the shell takes lines one character at a time. */
const MAX_LINE = 16 * 1024;
const MAX_ENTRIES = 50_000;
const WALK_TIMEOUT_MS = 60_000;
/** Files that are read together while a tree is searched. */
const BATCH = { files: 64, bytes: 256 * 1024, line: 3000 };

interface WalkedFile {
  path: string;
  size: number;
}

/** Files in the order of a walk, so that whoever reads one can be given those after it with the same answer. */
export interface Readahead {
  root: string;
  files: WalkedFile[];
  index: Map<string, number>;
  content: Map<string, Uint8Array>;
}

export class RunnerFiles {
  readonly #client: RunnerClient;

  constructor(client: RunnerClient) {
    this.#client = client;
  }

  async resolve(path: string): Promise<string> {
    if (path.includes("\0")) throw new PathRefused(path);
    const asked = posix.resolve(WORKDIR, path);
    const { text } = await this.#ask("resolve", [this.#word(asked)]);
    const canonical = unescapePath(text.slice(0, -1));
    // What is missing may hold "..", which then leads nowhere.
    if (posix.resolve(canonical) !== canonical) throw new FileError("ENOENT");
    if (!FILE_ROOTS.some((root) => isWithin(root, canonical))) throw new PathRefused(path);
    return canonical;
  }

  async stat(path: string): Promise<FileStat> {
    const { text } = await this.#ask("stat", [this.#word(path)]);
    const [, mode = "", size = ""] = /^([0-9a-f]{1,8}) (\d{1,16})$/.exec(text) ?? [];
    if (mode === "") throw new FileError("EIO");
    const type = Number.parseInt(mode, 16) & 0xf000;
    const kind = type === 0x8000 ? "file" : type === 0x4000 ? "directory" : "other";
    return { kind, size: Number(size) };
  }

  /** @param ahead of the walk that named the path, if one did */
  async *read(path: string, ahead: Readahead | null): AsyncIterable<Uint8Array> {
    const batched = ahead === null ? null : await this.#batched(path, ahead);
    if (batched !== null) {
      yield batched;
      return;
    }
    const word = this.#word(path);
    // The quick way for a short text. A word with a backslash is not the path itself.
    const whole = word.includes("\\") ? null : await this.#client.request("whole", [word]).catch(timeout);
    if (whole?.ok === true && whole.payload !== null) {
      if (whole.payload.length > 0) yield whole.payload;
      return;
    }
    for (let chunk = 0; ; chunk += 1) {
      const { payload } = await this.#ask("read", [word, String(chunk)]);
      if (payload === null || payload.length > CHUNK_BYTES) throw new FileError("EIO");
      if (payload.length > 0) yield payload;
      if (payload.length < CHUNK_BYTES) return;
    }
  }

  /** @param id of the call that this is the change of; null when it need not be written down */
  async write(path: string, content: string, id: string | null): Promise<void> {
    if (content.length <= MAX_LINE) {
      const text = escapeText(content).replaceAll("\0", "\\0000");
      await this.#ask("put", [id ?? "-", this.#word(path), text]);
      return;
    }
    const bytes = Buffer.from(content);
    await this.#ask("write", [String(bytes.length), id ?? "-", this.#word(path)], bytes);
  }

  async *walk(root: string, signal: AbortSignal, ahead: (files: Readahead) => void): AsyncIterable<WalkEntry> {
    const { kind } = await this.stat(root);
    if (kind === "file") yield { path: root, mtime_ms: 0 };
    if (kind !== "directory") return;
    const word = this.#word(root);
    const request = this.#client.request("walk", [word], { timeoutMs: WALK_TIMEOUT_MS });
    const answer = await unlessAborted(request.catch(timeout), signal);
    if (answer === null) return;
    const { text, n } = this.#accept(answer);
    const size = Number(text);
    if (!/^\d{1,8}$/.test(text)) throw new FileError("EIO");
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of this.read(`${RUNNER_STATE_DIR}/tmp/l.${n}`, null)) {
      if (signal.aborted) return;
      length += part.length;
      if (length > size) throw new FileError("EIO");
      parts.push(part);
    }
    const list = parseList(Buffer.concat(parts).toString("utf8"), root);
    const files = list.map(({ path, size: bytes }) => ({ path, size: bytes }));
    ahead({ root, files, index: new Map(files.map(({ path }, i) => [path, i])), content: new Map() });
    for (const { path, mtime_ms } of list) {
      if (signal.aborted) return;
      yield { path, mtime_ms };
    }
  }

  /** The file's content from a batch; null when it must be read alone. */
  async #batched(path: string, ahead: Readahead): Promise<Uint8Array | null> {
    const kept = ahead.content.get(path);
    ahead.content.delete(path);
    if (kept !== undefined) return kept;
    const index = ahead.index.get(path);
    if (index === undefined || path === ahead.root) return null;
    const batch: WalkedFile[] = [];
    const words: string[] = [];
    let bytes = 0;
    let line = 0;
    for (const file of ahead.files.slice(index, index + BATCH.files)) {
      const word = escapePath(`.${file.path.slice(ahead.root.length)}`);
      bytes += file.size;
      line += word.length + 1;
      if (bytes > BATCH.bytes || line > BATCH.line) break;
      batch.push(file);
      words.push(word);
    }
    if (batch.length < 2) return null;
    const size = batch.reduce((sum, file) => sum + file.size, 0);
    const answer = await this.#client.request("batch", [this.#word(ahead.root), ...words]).catch(timeout);
    // One of them changed or went since the walk: each is then read for itself.
    if (!answer.ok || answer.payload?.length !== size) return null;
    ahead.content.clear();
    let start = 0;
    for (const file of batch) {
      ahead.content.set(file.path, answer.payload.subarray(start, start + file.size));
      start += file.size;
    }
    const content = ahead.content.get(path) ?? null;
    ahead.content.delete(path);
    return content;
  }

  #word(path: string): string {
    const word = escapePath(path);
    if (Buffer.byteLength(word) > MAX_PATH) throw new FileError("ENAMETOOLONG");
    return word;
  }

  async #ask(operation: string, words: readonly string[], content: Buffer | null = null): Promise<Answer> {
    return this.#accept(await this.#client.request(operation, words, { content }).catch(timeout));
  }

  #accept(answer: Answer): Answer {
    if (!answer.ok) throw new FileError(/^E[A-Z]{2,20}$/.test(answer.text) ? answer.text : "EIO");
    return answer;
  }
}

/** A pipe without a writer, or a file system that hangs. */
function timeout(error: unknown): never {
  throw error instanceof RequestTimeout ? new FileError("ETIMEDOUT") : error;
}

async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T | null> {
  if (signal.aborted) {
    promise.catch(() => undefined);
    return null;
  }
  let stop: () => void = () => undefined;
  const aborted = new Promise<null>((resolve) => {
    stop = () => resolve(null);
    signal.addEventListener("abort", stop);
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function parseList(text: string, root: string): (WalkedFile & WalkEntry)[] {
  const found: (WalkedFile & WalkEntry)[] = [];
  const records = text.split("//\n");
  // The last is empty, or was cut off where the list became too long.
  records.pop();
  for (const record of records.slice(0, MAX_ENTRIES)) {
    const [, seconds, bytes, name] = /^(\d+(?:\.\d+)?) (\d{1,16}) \.\/([\s\S]+)$/.exec(record) ?? [];
    if (seconds === undefined || name === undefined) continue;
    found.push({ path: `${root}/${name}`, size: Number(bytes), mtime_ms: Number(seconds) * 1000 });
  }
  return found.sort((a, b) => (a.path < b.path ? -1 : 1));
}
