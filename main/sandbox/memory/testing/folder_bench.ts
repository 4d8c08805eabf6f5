/** A session whose mounts are folders of this disk, without a sandbox around them. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type SandboxLayout, sandboxLayout } from "../../embedded/layout.ts";
import { EmbeddedMemoryFiles } from "../../embedded/memory/memory_files.ts";
import type { MemoryFiles, MemoryMount, MemorySource } from "../port.ts";
import { SessionMemory } from "../session_memory.ts";
import { MemoryBench } from "./bench.ts";

export const SESSION = "sesn_sync";

export class FolderBench extends MemoryBench implements AsyncDisposable {
  readonly dataDir: string;

  private constructor(dataDir: string) {
    super();
    this.dataDir = dataDir;
    mkdirSync(this.layout.root, { recursive: true });
  }

  static async make(): Promise<FolderBench> {
    return new FolderBench(await mkdtemp(join(tmpdir(), "longhaul-memory-")));
  }

  get layout(): SandboxLayout {
    return sandboxLayout(this.dataDir, SESSION);
  }

  real(path: string, mount = "/mnt/memory/notes"): string {
    return join(this.layout.root, mount, path);
  }

  put(path: string, content: string | Buffer): void {
    mkdirSync(dirname(this.real(path)), { recursive: true });
    writeFileSync(this.real(path), content);
  }

  has(path: string): string | null {
    return existsSync(this.real(path)) ? readFileSync(this.real(path), "utf8") : null;
  }

  /** As an engine process makes it: nothing of an earlier one is known to it. */
  open(mounts: MemoryMount[], parts: { files?: MemoryFiles; source?: MemorySource } = {}): SessionMemory {
    const { files = new EmbeddedMemoryFiles(this.layout), source = this.source } = parts;
    return new SessionMemory({ session_id: SESSION, mounts, files, source, tell: this.tell, interval_ms: 0 });
  }

  /** A store with these memories, mounted for the first time. */
  async mounted(
    files: Record<string, string>,
    more: Partial<MemoryMount> = {},
  ): Promise<{ store: string; memory: SessionMemory; steps: { step: string; error: string | null }[] }> {
    const store = await this.store(files);
    const memory = this.open([this.mount(store, more)]);
    const steps: { step: string; error: string | null }[] = [];
    await memory.mount((step) => steps.push(step));
    this.synced.length = 0;
    return { store, memory, steps };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return rm(this.dataDir, { recursive: true, force: true });
  }
}
