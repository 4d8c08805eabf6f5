/**
 * The record of calls in a sandbox, by `tool_use_id`. The folder of a call is made before the call runs and its result
 * is put there when it is done, so that whoever comes later knows: no folder, it never ran; a result, this is it; a
 * folder alone, it was cut off.
 */
import {
  appendFileSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { safeName } from "./layout.ts";

export type Outcome = { kind: "ok" | "failure"; text: string } | { kind: "interrupted" };

const OUTPUT_BYTES = 100 * 1024;

export class CallLog {
  readonly #dir: string;

  /** @param dir folder of the calls; it must exist before the first claim */
  constructor(dir: string) {
    this.#dir = dir;
  }

  /**
   * Records that the call starts now; false when it was recorded before. Durable on return when `durable`: after a power
   * cut, too, a call that may have had an effect is known to have started. Throws when the disk refuses.
   */
  claim(id: string, durable: boolean): boolean {
    try {
      mkdirSync(this.#callDir(id), { mode: 0o700 });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
      throw error;
    }
    if (durable) syncFolder(this.#dir);
    return true;
  }

  isClaimed(id: string): boolean {
    return statSync(this.#callDir(id), { throwIfNoEntry: false }) !== undefined;
  }

  /** The outcome of a finished call; null while there is none, or when what is there was torn by a power cut. */
  outcome(id: string): Outcome | null {
    try {
      const stored = JSON.parse(readFileSync(join(this.#callDir(id), "result.json"), "utf8")) as Outcome;
      if (stored.kind === "interrupted") return { kind: "interrupted" };
      const known = (stored.kind === "ok" || stored.kind === "failure") && typeof stored.text === "string";
      return known ? stored : null;
    } catch (error) {
      if (error instanceof SyntaxError || (error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  /** Records the outcome, all of it or nothing. Throws when the disk refuses. */
  finish(id: string, outcome: Outcome): void {
    const file = join(this.#callDir(id), "result.json");
    writeFileSync(`${file}.tmp`, JSON.stringify(outcome), { mode: 0o600 });
    renameSync(`${file}.tmp`, file);
  }

  /** Keeps output of a running call, so that some of it is left if its host dies. */
  appendOutput(id: string, chunk: string): void {
    appendFileSync(join(this.#callDir(id), "output"), chunk, { mode: 0o600 });
  }

  /** The end of what a call had written until its host died. */
  output(id: string): string {
    try {
      return readFileSync(join(this.#callDir(id), "output"), "utf8").slice(-OUTPUT_BYTES);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
      throw error;
    }
  }

  #callDir(id: string): string {
    return join(this.#dir, safeName(id));
  }
}

/** Makes new entries of a folder durable. Windows has no such operation and needs none. */
function syncFolder(path: string): void {
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}
