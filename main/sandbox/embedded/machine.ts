/** The embedded sandbox as a machine for the toolset: a folder of this disk and the simulated shell on it. */
import type { FileStat, Machine, ShellOutput, ShellRun, WalkEntry } from "../machine.ts";
import type { SandboxFiles } from "./files.ts";
import type { Shell } from "./shell/shell.ts";

export class EmbeddedMachine implements Machine {
  readonly #files: SandboxFiles;
  readonly #shell: Shell;
  readonly #readOnlyRoots: () => readonly string[];

  constructor(files: SandboxFiles, shell: Shell, readOnlyRoots: () => readonly string[]) {
    this.#files = files;
    this.#shell = shell;
    this.#readOnlyRoots = readOnlyRoots;
  }

  readOnlyRoots(): readonly string[] {
    return this.#readOnlyRoots();
  }

  resolve(path: string): Promise<string> {
    return this.#files.resolve(path);
  }

  stat(path: string): Promise<FileStat> {
    return this.#files.stat(path);
  }

  read(path: string): AsyncIterable<Uint8Array> {
    return this.#files.read(path);
  }

  write(path: string, content: string): Promise<void> {
    return this.#files.write(path, content);
  }

  walk(root: string, signal: AbortSignal): AsyncIterable<WalkEntry> {
    return this.#files.walk(root, signal);
  }

  run(command: string, options: ShellRun): Promise<ShellOutput> {
    return this.#shell.run(command, options);
  }

  restartShell(): Promise<void> {
    return this.#shell.restart();
  }
}
