/** Mounts of an embedded sandbox. It need not run: its folder is on this disk. */
import { readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type ChangeProblem,
  type MemoryFiles,
  type MemoryMount,
  type MountChange,
  type MountScan,
  SCAN_LIMITS,
  type ScanLimits,
} from "../../memory/port.ts";
import { type SandboxLayout, safeName } from "../layout.ts";
import { MountFolder, makeOwn } from "./mount_folder.ts";

export class EmbeddedMemoryFiles implements MemoryFiles {
  readonly #layout: SandboxLayout;
  readonly #limits: ScanLimits;
  readonly #folders = new Map<string, MountFolder>();

  constructor(layout: SandboxLayout, limits: ScanLimits = SCAN_LIMITS) {
    this.#layout = layout;
    this.#limits = limits;
  }

  async ready(): Promise<boolean> {
    return (await stat(this.#layout.root).catch(() => null)) !== null;
  }

  async prepare(mounts: readonly MemoryMount[]): Promise<void> {
    for (const mount of mounts) await this.#folder(mount).prepare();
  }

  async scan(mounts: readonly MemoryMount[]): Promise<Map<string, MountScan>> {
    const scans = new Map<string, MountScan>();
    for (const mount of mounts) scans.set(mount.path, await this.#folder(mount).scan());
    return scans;
  }

  async read(mount: MemoryMount, paths: readonly string[]): Promise<Map<string, Uint8Array>> {
    const contents = new Map<string, Uint8Array>();
    for (const path of paths) {
      const bytes = await this.#folder(mount).read(path);
      if (bytes !== null) contents.set(path, bytes);
    }
    return contents;
  }

  async apply(mount: MemoryMount, changes: readonly MountChange[]): Promise<Map<string, ChangeProblem>> {
    const problems = new Map<string, ChangeProblem>();
    for (const change of changes) {
      const problem = await this.#folder(mount).apply(change, mount.read_only ? 0o444 : 0o644);
      if (problem !== null) problems.set(change.path, problem);
    }
    return problems;
  }

  async kept(storeId: string): Promise<string | null> {
    return readFile(this.#file(storeId), "utf8").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return null;
      throw error;
    });
  }

  async keep(storeId: string, text: string): Promise<void> {
    const file = this.#file(storeId);
    await makeOwn(this.#layout.memory);
    await writeFile(`${file}.tmp`, text, { mode: 0o600 });
    await rename(`${file}.tmp`, file);
  }

  #file(storeId: string): string {
    return join(this.#layout.memory, `${safeName(storeId)}.json`);
  }

  #folder(mount: MemoryMount): MountFolder {
    const known = this.#folders.get(mount.path);
    if (known !== undefined) return known;
    const folder = new MountFolder(this.#layout.root, mount.path, join(this.#layout.memory, "scratch"), this.#limits);
    this.#folders.set(mount.path, folder);
    return folder;
  }
}
