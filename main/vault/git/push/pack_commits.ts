/**
 * The commits with which a pack begins. Git writes commits before trees and files, so that what a push makes of a branch
 * can be known without unpacking the rest. A commit's id is the hash of its content: whatever else a pack holds, a commit
 * that hashes to an id has the parents that are read here.
 */
import { createHash } from "node:crypto";
import { inflateSync } from "node:zlib";
import type { ByteSource } from "../byte_source.ts";
import { malformed } from "../pkt_line.ts";
import { applyDelta } from "./delta.ts";

export interface Commit {
  id: string;
  parents: string[];
  /** First line of the message, at most 200 characters. */
  subject: string;
}

export interface PackLimits {
  /** Of the part that is held back until the push is judged. */
  bytes: number;
  /** Of one commit, and of all, unpacked. */
  commitBytes: number;
  totalBytes: number;
}

export const PACK_LIMITS: PackLimits = {
  bytes: 64 * 1024 * 1024,
  commitBytes: 4 * 1024 * 1024,
  totalBytes: 192 * 1024 * 1024,
};

const COMMIT = 1;
const TAG = 4;
const OFS_DELTA = 6;
const REF_DELTA = 7;
const HEADER_BYTES = 12;

/** A part of the pack is not there yet. */
class Short extends Error {}
/** What comes is no commit any more, or one that cannot be read; the rest of the pack is somebody else's business. */
class End extends Error {}

export class PackCommits {
  readonly #source: ByteSource;
  readonly #algorithm: "sha1" | "sha256";
  readonly #limits: PackLimits;
  readonly #byOffset = new Map<number, Buffer>();
  readonly #byId = new Map<string, Buffer>();
  #buffer: Buffer = Buffer.alloc(64 * 1024);
  #length = 0;
  #objects = 0;
  #seen = 0;
  #at = 0;
  #total = 0;

  /** @param idLength of ids in hex digits, 40 or 64 */
  constructor(source: ByteSource, idLength: number, limits: PackLimits = PACK_LIMITS) {
    this.#source = source;
    this.#algorithm = idLength === 64 ? "sha256" : "sha1";
    this.#limits = limits;
  }

  /** All bytes that were read from the source, which is to be passed on after them. */
  get held(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Commits in the pack's order, until something else comes. @throws Refusal 400 when it is not a pack at all */
  async *commits(): AsyncGenerator<Commit> {
    while (this.held.length < HEADER_BYTES) if (!(await this.#more())) throw malformed("there is no pack");
    const version = this.held.readUInt32BE(4);
    if (this.held.toString("latin1", 0, 4) !== "PACK" || (version !== 2 && version !== 3)) {
      throw malformed("there is no pack");
    }
    this.#objects = this.held.readUInt32BE(8);
    this.#at = HEADER_BYTES;
    while (this.#seen < this.#objects) {
      const commit = await this.#next();
      if (commit === "end") return;
      this.#seen += 1;
      if (commit !== "tag") yield commit;
    }
  }

  async #next(): Promise<Commit | "tag" | "end"> {
    for (;;) {
      try {
        return this.#object();
      } catch (error) {
        if (error instanceof End) return "end";
        if (!(error instanceof Short)) throw error;
        if (this.held.length > this.#limits.bytes || !(await this.#more())) return "end";
      }
    }
  }

  #object(): Commit | "tag" {
    const offset = this.#at;
    let at = offset;
    const byte = (): number => {
      const value = this.#buffer[at];
      if (value === undefined || at >= this.#length) throw new Short();
      at += 1;
      return value;
    };
    let head = byte();
    const type = (head >> 4) & 7;
    let size = head & 15;
    for (let shift = 4; head & 0x80; shift += 7) {
      head = byte();
      size += (head & 0x7f) * 2 ** shift;
      if (size > this.#limits.commitBytes) throw new End();
    }
    let base: Buffer | undefined;
    if (type === OFS_DELTA) {
      let part = byte();
      let back = part & 0x7f;
      while (part & 0x80) {
        part = byte();
        back = (back + 1) * 128 + (part & 0x7f);
        if (back > offset) throw new End();
      }
      base = this.#byOffset.get(offset - back);
    } else if (type === REF_DELTA) {
      const length = this.#algorithm === "sha1" ? 20 : 32;
      if (this.held.length < at + length) throw new Short();
      base = this.#byId.get(this.held.toString("hex", at, at + length));
      at += length;
    } else if (type !== COMMIT && type !== TAG) throw new End();
    if ((type === OFS_DELTA || type === REF_DELTA) && base === undefined) throw new End();
    const { content, consumed } = this.#inflate(at, size);
    this.#at = at + consumed;
    if (type === TAG) return "tag";
    return this.#keep(offset, base === undefined ? content : this.#patched(base, content));
  }

  #patched(base: Buffer, delta: Buffer): Buffer {
    const whole = applyDelta(base, delta, this.#limits.commitBytes);
    if (whole === null) throw new End();
    return whole;
  }

  #inflate(at: number, size: number): { content: Buffer; consumed: number } {
    try {
      const limit = Math.max(size, 1);
      const options = { info: true, maxOutputLength: limit } as const;
      const inflated = inflateSync(this.held.subarray(at), options) as unknown as Inflated;
      if (inflated.buffer.length !== size) throw new End();
      return { content: inflated.buffer, consumed: inflated.engine.bytesWritten };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "Z_BUF_ERROR") throw new Short();
      throw new End();
    }
  }

  #keep(offset: number, content: Buffer): Commit {
    this.#total += content.length;
    if (this.#total > this.#limits.totalBytes) throw new End();
    const id = createHash(this.#algorithm).update(`commit ${content.length}\0`).update(content).digest("hex");
    this.#byOffset.set(offset, content);
    this.#byId.set(id, content);
    return { id, ...parsed(content, id.length) };
  }

  async #more(): Promise<boolean> {
    const chunk = await this.#source.chunk();
    if (chunk === null) return false;
    const length = this.#length + chunk.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(length, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    chunk.copy(this.#buffer, this.#length);
    this.#length = length;
    return true;
  }
}

interface Inflated {
  buffer: Buffer;
  engine: { bytesWritten: number };
}

/** Parents stand right after the tree; a line that looks like one further down is none. */
function parsed(content: Buffer, idLength: number): Omit<Commit, "id"> {
  const text = content.toString("latin1");
  const head = new RegExp(`^tree [0-9a-f]{${idLength}}\\n((?:parent [0-9a-f]{${idLength}}\\n)*)`).exec(text);
  if (head === null) return { parents: [], subject: "" };
  const parents = (head[1] ?? "")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.slice("parent ".length));
  const body = text.indexOf("\n\n");
  const message = body === -1 ? "" : content.toString("utf8", body + 2, body + 2 + 1_000).trimStart();
  return { parents, subject: (message.split("\n", 1)[0] ?? "").slice(0, 200).toWellFormed() };
}
