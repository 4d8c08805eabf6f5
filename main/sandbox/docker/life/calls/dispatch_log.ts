/**
 * The ids of calls that were handed to a session's container since its last checkpoint, kept on this side. When the
 * container is removed its own journal is gone; this says which calls may have had an effect, so that none of them runs
 * twice in the rebuilt one. Appended without a flush: it must outlive this process, not the machine, since the journal
 * inside the container does not outlive that either.
 */

import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export class DispatchLog {
  readonly #dir: string;
  /** Handed to the container since the last checkpoint. */
  #dispatched: Set<string> | null = null;
  /** Handed to a container that is gone. */
  #lost: Set<string> | null = null;

  /** @param sandboxesDir folder of this install's sandboxes; nothing is read or made before it is needed */
  constructor(sandboxesDir: string, sessionId: string) {
    const name = /^[A-Za-z0-9_-]{1,100}$/.test(sessionId)
      ? sessionId
      : `id-${createHash("sha256").update(sessionId).digest("hex").slice(0, 40)}`;
    this.#dir = join(sandboxesDir, "docker", name);
  }

  /** Writes down that the call is about to be sent. Throws when the disk refuses. */
  add(id: string): void {
    const known = this.#load();
    if (known.has(id)) return;
    if (known.size === 0) mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    // A line break comes first, too: what a crash tore before stays a line of its own.
    appendFileSync(this.#file("dispatched"), `\n${JSON.stringify(id)}\n`, { mode: 0o600 });
    known.add(id);
  }

  has(id: string): boolean {
    return this.#load().has(id);
  }

  /** Calls since the last checkpoint. */
  get size(): number {
    return this.#load().size;
  }

  /** True when the call was handed to a container that was removed, and its journal with it. */
  isLost(id: string): boolean {
    return this.#loadLost().has(id);
  }

  /** The container is gone: what was handed to it is lost unless a checkpoint's journal knows better. */
  containerLost(): void {
    const dispatched = this.#load();
    const lost = this.#loadLost();
    if ([...dispatched].every((id) => lost.has(id))) return;
    for (const id of dispatched) lost.add(id);
    const text = [...lost].map((id) => `${JSON.stringify(id)}\n`).join("");
    writeFileSync(this.#file("lost.new"), text, { mode: 0o600 });
    renameSync(this.#file("lost.new"), this.#file("lost"));
  }

  /** A checkpoint holds the results of all calls until now. */
  checkpointed(): void {
    this.#load().clear();
    rmSync(this.#file("dispatched"), { force: true });
  }

  remove(): void {
    rmSync(this.#dir, { recursive: true, force: true });
    this.#dispatched = new Set();
    this.#lost = new Set();
  }

  #load(): Set<string> {
    this.#dispatched ??= this.#read("dispatched");
    return this.#dispatched;
  }

  #loadLost(): Set<string> {
    this.#lost ??= this.#read("lost");
    return this.#lost;
  }

  #read(name: string): Set<string> {
    let text: string;
    try {
      text = readFileSync(this.#file(name), "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Set();
      throw error;
    }
    const ids = new Set<string>();
    for (const line of text.split("\n")) {
      try {
        if (line !== "") ids.add(JSON.parse(line) as string);
      } catch {
        // Torn by a crash in the middle of the writing: that call was not sent yet.
      }
    }
    return ids;
  }

  #file(name: string): string {
    return join(this.#dir, name);
  }
}
