/** The output of one command: its end in memory, a bounded copy of all of it on disk when it is long, chunks as it comes. */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { OUTPUT_LIMIT, SPILL_DIR } from "../../machine.ts";
import { decodeText, fromCharacterStart } from "../../text.ts";
import { makeFolder } from "../layout.ts";
import type { CapturedOutput } from "./protocol.ts";

const SPILL_LIMIT = 10_000_000;
/** Chunks for watchers are joined for this long, and anything beyond the size is left out: nobody can read faster. */
const CHUNK_EVERY_MS = 30;
const CHUNK_LIMIT = 16 * 1024;

// just-bash takes the global timers away from whatever runs inside a script.
const later = setTimeout;
const cancel = clearTimeout;

export class OutputCapture {
  readonly #spill: { root: string; name: string };
  readonly #onChunk: (chunk: string) => void;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #total = 0;
  #spillFile: number | null = null;
  #spillFailed = false;
  #spilled = 0;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #lastChunkAt = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param spill name of the file for the whole output in {@link SPILL_DIR}, and the folder that the agent sees as `/`
   * @param onChunk gets the output as it comes, joined and thinned
   */
  constructor(spill: { root: string; name: string }, onChunk: (chunk: string) => void) {
    this.#spill = spill;
    this.#onChunk = onChunk;
  }

  append(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#total += bytes.length;
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
    if (this.#total > OUTPUT_LIMIT) this.#writeSpill();
    if (this.#keptBytes > 2 * OUTPUT_LIMIT || this.#kept.length > 4096) this.#compact();
    if (this.#pendingBytes < CHUNK_LIMIT) {
      this.#pending.push(bytes.subarray(0, CHUNK_LIMIT - this.#pendingBytes));
      this.#pendingBytes += bytes.length;
    }
    // By the clock as well as by a timer: a busy script never lets a timer of this thread fire, a sleeping one nothing else.
    if (Date.now() - this.#lastChunkAt >= CHUNK_EVERY_MS) this.#flush();
    else this.#timer ??= later(() => this.#flush(), CHUNK_EVERY_MS);
  }

  /** What the model may see. No more output may follow. */
  finish(): CapturedOutput {
    if (this.#spillFile !== null) closeSync(this.#spillFile);
    this.#flush();
    this.#compact();
    const tail = Buffer.concat(this.#kept, this.#keptBytes);
    if (this.#total <= OUTPUT_LIMIT) return { text: decodeText(tail), truncated: null };
    const file = this.#spillFailed ? null : `${SPILL_DIR}/${this.#spill.name}`;
    return { text: decodeText(fromCharacterStart(tail)), truncated: { bytes: this.#total, file } };
  }

  #flush(): void {
    cancel(this.#timer);
    this.#timer = undefined;
    if (this.#pendingBytes === 0) return;
    this.#lastChunkAt = Date.now();
    this.#onChunk(decodeText(Buffer.concat(this.#pending)));
    this.#pending = [];
    this.#pendingBytes = 0;
  }

  #compact(): void {
    const all = Buffer.concat(this.#kept, this.#keptBytes);
    const tail = all.length > OUTPUT_LIMIT ? Buffer.from(all.subarray(all.length - OUTPUT_LIMIT)) : all;
    this.#kept = [tail];
    this.#keptBytes = tail.length;
  }

  /** At the first overflow everything so far is still in memory; later calls add the newest piece. */
  #writeSpill(): void {
    if (this.#spillFailed) return;
    try {
      if (this.#spillFile === null) {
        const folder = makeFolder(this.#spill.root, SPILL_DIR);
        if (folder === null) throw new Error(`A link or a file is in the way of ${SPILL_DIR}.`);
        const file = join(folder, this.#spill.name);
        // Made anew: what is there could be a link of the agent's.
        rmSync(file, { force: true });
        this.#spillFile = openSync(file, "wx");
        for (const part of this.#kept) this.#writePart(part);
      } else {
        this.#writePart(this.#kept.at(-1) ?? Buffer.alloc(0));
      }
    } catch {
      // A full disk, or something of the agent's in the way, must not stop the command; the answer then says that the whole output could not be kept.
      this.#spillFailed = true;
    }
  }

  #writePart(part: Buffer): void {
    const wanted = part.subarray(0, Math.max(0, SPILL_LIMIT - this.#spilled));
    if (wanted.length === 0 || this.#spillFile === null) return;
    writeSync(this.#spillFile, wanted);
    this.#spilled += wanted.length;
  }
}
