/** Blob stores: bodies by the SHA-256 of their bytes. On disk each is one file, written whole or not at all. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import * as path from "node:path";
import type { BlobStore } from "./catalog.ts";

function sha256Of(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function missing(sha256: string): Error {
  return new Error(`blob ${sha256} is missing from the blob store`);
}

/** Keeps bodies in memory, for tests. */
export function memoryBlobStore(): BlobStore {
  const blobs = new Map<string, Uint8Array>();
  const putSync = (bytes: Uint8Array): string => {
    const sha256 = sha256Of(bytes);
    blobs.set(sha256, Uint8Array.from(bytes));
    return sha256;
  };
  const getSync = (sha256: string): Uint8Array => {
    const bytes = blobs.get(sha256);
    if (bytes === undefined) throw missing(sha256);
    return Uint8Array.from(bytes);
  };
  return { putSync, getSync, put: async (bytes) => putSync(bytes), get: async (sha256) => getSync(sha256) };
}

/**
 * Keeps bodies as files `<dir>/<first two digits>/<sha256>`. A put writes a temporary file, flushes it, renames it and
 * flushes the folder: after a power cut a blob is there whole or it is not there.
 */
export function fileBlobStore(dir: string): BlobStore {
  return new FileBlobStore(dir);
}

const TEMPORARY = "unfinished";
const HOUR_MS = 3_600_000;

class FileBlobStore implements BlobStore {
  readonly #dir: string;
  #cleaned = false;
  #count = 0;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async put(bytes: Uint8Array): Promise<string> {
    const sha256 = sha256Of(bytes);
    if (this.#has(sha256, bytes.length)) return sha256;
    const temporary = this.#temporaryFile(sha256);
    try {
      const file = await fs.promises.open(temporary, "wx", 0o600);
      try {
        await file.writeFile(bytes);
        await file.sync();
      } finally {
        await file.close();
      }
      this.#publish(temporary, sha256);
    } catch (error) {
      throw this.#failed(temporary, sha256, error);
    }
    return sha256;
  }

  async get(sha256: string): Promise<Uint8Array> {
    const bytes = await fs.promises.readFile(this.#file(sha256)).catch((error: unknown) => {
      throw this.#unreadable(sha256, error);
    });
    return this.#checked(sha256, bytes);
  }

  putSync(bytes: Uint8Array): string {
    const sha256 = sha256Of(bytes);
    if (this.#has(sha256, bytes.length)) return sha256;
    const temporary = this.#temporaryFile(sha256);
    try {
      const file = fs.openSync(temporary, "wx", 0o600);
      try {
        fs.writeFileSync(file, bytes);
        fs.fsyncSync(file);
      } finally {
        fs.closeSync(file);
      }
      this.#publish(temporary, sha256);
    } catch (error) {
      throw this.#failed(temporary, sha256, error);
    }
    return sha256;
  }

  getSync(sha256: string): Uint8Array {
    let bytes: Uint8Array;
    try {
      bytes = fs.readFileSync(this.#file(sha256));
    } catch (error) {
      throw this.#unreadable(sha256, error);
    }
    return this.#checked(sha256, bytes);
  }

  #file(sha256: string): string {
    // The name becomes a path: anything but a hash could climb out of the store.
    if (!/^[0-9a-f]{64}$/.test(sha256)) throw new Error(`${JSON.stringify(sha256)} is not the SHA-256 of a blob`);
    return path.join(this.#dir, sha256.slice(0, 2), sha256);
  }

  /** True when the blob is there and whole; a damaged one is written again by the caller. */
  #has(sha256: string, bytes: number): boolean {
    const stat = fs.statSync(this.#file(sha256), { throwIfNoEntry: false });
    if (stat === undefined || stat.size !== bytes) return false;
    return sha256Of(fs.readFileSync(this.#file(sha256))) === sha256;
  }

  #temporaryFile(sha256: string): string {
    const folder = path.join(this.#dir, TEMPORARY);
    fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
    if (!this.#cleaned) this.#removeLeftovers(folder);
    this.#cleaned = true;
    this.#count += 1;
    return path.join(folder, `${sha256}.${process.pid}.${this.#count}`);
  }

  /** Files that a killed process left half-written. Recent ones may belong to a process that is at work. */
  #removeLeftovers(folder: string): void {
    for (const name of fs.readdirSync(folder)) {
      const file = path.join(folder, name);
      const stat = fs.statSync(file, { throwIfNoEntry: false });
      if (stat !== undefined && stat.mtimeMs < Date.now() - HOUR_MS) fs.rmSync(file, { force: true });
    }
  }

  #publish(temporary: string, sha256: string): void {
    const target = this.#file(sha256);
    const folder = path.dirname(target);
    const isNew = fs.mkdirSync(folder, { recursive: true, mode: 0o700 }) !== undefined;
    fs.renameSync(temporary, target);
    syncFolder(folder);
    if (isNew) syncFolder(this.#dir);
  }

  #failed(temporary: string, sha256: string, error: unknown): Error {
    fs.rmSync(temporary, { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    return new Error(`blob ${sha256} could not be written to ${this.#dir}: ${reason}`, { cause: error });
  }

  #unreadable(sha256: string, error: unknown): Error {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return missing(sha256);
    const reason = error instanceof Error ? error.message : String(error);
    return new Error(`blob ${sha256} cannot be read: ${reason}`, { cause: error });
  }

  #checked(sha256: string, bytes: Uint8Array): Uint8Array {
    if (sha256Of(bytes) !== sha256) throw new Error(`blob ${sha256} is damaged: its bytes have another hash`);
    return bytes;
  }
}

/** Makes a rename in `folder` durable. Windows cannot open a folder; NTFS journals its metadata by itself. */
function syncFolder(folder: string): void {
  if (process.platform === "win32") return;
  const handle = fs.openSync(folder, "r");
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}
