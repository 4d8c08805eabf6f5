/** The file system that the shell sees: a folder of this disk as `/`, with devices and command names laid over it. */
import { isUtf8 } from "node:buffer";
import { rmdir } from "node:fs/promises";
import { join, posix } from "node:path";
import {
  type FileContent,
  getCommandNames,
  getJavaScriptCommandNames,
  getPythonCommandNames,
  type IFileSystem,
  type InitialFiles,
  InMemoryFs,
  MountableFs,
  ReadWriteFs,
} from "just-bash";
import { isWithin, UPLOADS } from "../../machine.ts";
import { makeFolder } from "../layout.ts";

/** Everything written to this path is the output of the running command. */
export const SINK = "/dev/.output";
const SINK_NAME = ".output";

const MAX_FILE_BYTES = 512 * 1024 * 1024;

/**
 * @param hidden a command that exists without being listed
 * @param readOnlyPaths folders that cannot be changed from within, beside the uploads
 * @param sink gets what the running command writes
 */
export function shellFileSystem(
  root: string,
  hidden: string,
  readOnlyPaths: readonly string[],
  sink: (bytes: Buffer) => void,
): IFileSystem {
  const names = [hidden, ...getCommandNames(), ...getPythonCommandNames(), ...getJavaScriptCommandNames()];
  const stubs = Object.fromEntries(
    names.map((name) => [`/${name}`, { content: `#!/bin/bash\n# Built-in command: ${name}\n`, mode: 0o755 }]),
  );
  const commands = new ListedFs(stubs, hidden);
  const mountPoints = [UPLOADS, ...readOnlyPaths];
  for (const path of mountPoints) makeFolder(root, path);
  const fixed = mountPoints.map((mountPoint) => {
    const folder = new ReadWriteFs({ root: join(root, mountPoint), maxFileReadSize: MAX_FILE_BYTES });
    return { mountPoint, filesystem: readOnly(folder, mountPoint) };
  });
  return new MountableFs({
    base: new WorkFs({ root, allowSymlinks: true, maxFileReadSize: MAX_FILE_BYTES }, mountPoints),
    mounts: [
      { mountPoint: "/bin", filesystem: readOnly(commands, "/bin") },
      { mountPoint: "/usr/bin", filesystem: readOnly(commands, "/usr/bin") },
      { mountPoint: "/dev", filesystem: new DeviceFs(sink) },
      ...fixed,
    ],
  });
}

const MAX_LINK_HOPS = 40;

/**
 * The folder itself. What something is mounted on stays where it is, as a mount point does, and is as read-only for who
 * comes over a link.
 */
class WorkFs extends ReadWriteFs {
  readonly #root: string;
  readonly #mountPoints: readonly string[];

  constructor(
    options: { root: string; allowSymlinks: boolean; maxFileReadSize: number },
    mountPoints: readonly string[],
  ) {
    super(options);
    this.#root = options.root;
    this.#mountPoints = mountPoints;
  }

  /** `rmdir` asks for this without `recursive`, which Node refuses for a folder even when it is empty. */
  override async rm(path: string, options?: { recursive?: boolean; force?: boolean }): Promise<void> {
    this.#refuseMountPoint(path);
    await this.#refuseReadOnly(path, false);
    const stat = options?.recursive === true ? null : await this.lstat(path).catch(() => null);
    if (stat?.isDirectory !== true) return super.rm(path, options);
    await rmdir(join(this.#root, await this.realpath(path)));
  }

  override async mv(from: string, to: string): Promise<void> {
    this.#refuseMountPoint(from);
    this.#refuseMountPoint(to);
    await this.#refuseReadOnly(from, false);
    await this.#refuseReadOnly(to, false);
    await super.mv(from, to);
  }

  override async writeFile(...args: Parameters<ReadWriteFs["writeFile"]>): Promise<void> {
    await this.#refuseReadOnly(args[0], true);
    await super.writeFile(...args);
  }

  override async appendFile(...args: Parameters<ReadWriteFs["appendFile"]>): Promise<void> {
    await this.#refuseReadOnly(args[0], true);
    await super.appendFile(...args);
  }

  override async chmod(...args: Parameters<ReadWriteFs["chmod"]>): Promise<void> {
    await this.#refuseReadOnly(args[0], true);
    await super.chmod(...args);
  }

  override async utimes(...args: Parameters<ReadWriteFs["utimes"]>): Promise<void> {
    await this.#refuseReadOnly(args[0], true);
    await super.utimes(...args);
  }

  override async mkdir(...args: Parameters<ReadWriteFs["mkdir"]>): Promise<void> {
    await this.#refuseReadOnly(args[0], false);
    await super.mkdir(...args);
  }

  override async cp(...args: Parameters<ReadWriteFs["cp"]>): Promise<void> {
    await this.#refuseReadOnly(args[1], true);
    await super.cp(...args);
  }

  override async symlink(...args: Parameters<ReadWriteFs["symlink"]>): Promise<void> {
    await this.#refuseReadOnly(args[1], false);
    await super.symlink(...args);
  }

  override async link(...args: Parameters<ReadWriteFs["link"]>): Promise<void> {
    await this.#refuseReadOnly(args[1], false);
    await super.link(...args);
  }

  /** @param follow the change is made where the path leads if it is a link itself */
  async #refuseReadOnly(path: string, follow: boolean): Promise<void> {
    const place = await this.#placeOf(posix.resolve("/", path), follow);
    if (this.#mountPoints.some((point) => isWithin(point, place))) {
      throw Object.assign(new Error(`EROFS: read-only file system, open '${path}'`), { code: "EROFS" });
    }
  }

  /** The path without links; what of it does not exist is kept as it is. */
  async #placeOf(start: string, follow: boolean): Promise<string> {
    let path = start;
    for (let hops = 0; hops < MAX_LINK_HOPS; hops += 1) {
      const [above, name] = [posix.dirname(path), posix.basename(path)];
      if (above === path) return path;
      const known = await this.realpath(above).catch(() => null);
      const folder = known ?? (await this.#placeOf(above, true));
      const place = posix.join(folder, name);
      const target = follow ? await this.readlink(place).catch(() => null) : null;
      if (target === null) return place;
      path = posix.resolve(folder, target);
    }
    return path;
  }

  #refuseMountPoint(path: string): void {
    const absolute = posix.resolve("/", path);
    if (!this.#mountPoints.some((point) => isWithin(absolute, point) || isWithin(point, absolute))) return;
    throw busy(path);
  }
}

function busy(path: string): Error {
  return Object.assign(new Error(`EBUSY: resource busy or locked, rm '${path}'`), { code: "EBUSY" });
}

/** Files in memory, one of which is not listed. */
class ListedFs extends InMemoryFs {
  readonly #hidden: string;

  constructor(files: InitialFiles, hidden: string) {
    super(files);
    this.#hidden = hidden;
  }

  override async readdir(path: string): Promise<string[]> {
    return (await super.readdir(path)).filter((name) => name !== this.#hidden);
  }

  override async readdirWithFileTypes(path: string): ReturnType<InMemoryFs["readdirWithFileTypes"]> {
    return (await super.readdirWithFileTypes(path)).filter(({ name }) => name !== this.#hidden);
  }
}

/** `/dev`: the sink, and devices of which writing loses and reading gives nothing. */
class DeviceFs extends ListedFs {
  readonly #sink: (bytes: Buffer) => void;

  constructor(sink: (bytes: Buffer) => void) {
    const devices = [SINK_NAME, "null", "zero", "stdin", "stdout", "stderr", "tty"];
    super(Object.fromEntries(devices.map((name) => [`/${name}`, ""])), SINK_NAME);
    this.#sink = sink;
  }

  override async writeFile(path: string, content: FileContent, encoding?: unknown): Promise<void> {
    await this.appendFile(path, content, encoding);
  }

  override async appendFile(path: string, content: FileContent, encoding?: unknown): Promise<void> {
    if (path === `/${SINK_NAME}`) this.#sink(toBytes(content, encoding));
    else if (!(await this.exists(path))) throw new Error(`EACCES: permission denied, open '/dev${path}'`);
  }
}

/**
 * The bytes of an output. The shell marks some strings as bytes (a character each), and others that are bytes it does
 * not mark: what can be read as the bytes of UTF-8 text is.
 */
function toBytes(content: FileContent, encoding: unknown): Buffer {
  if (typeof content !== "string") return Buffer.from(content);
  if (content.length === Buffer.byteLength(content) || /[^\0-\xff]/.test(content)) return Buffer.from(content);
  const bytes = Buffer.from(content, "latin1");
  const name = typeof encoding === "string" ? encoding : (encoding as { encoding?: string } | undefined)?.encoding;
  return name === "binary" || name === "latin1" || isUtf8(bytes) ? bytes : Buffer.from(content);
}

const CHANGES = new Set<PropertyKey>([
  "writeFile",
  "appendFile",
  "mkdir",
  "rm",
  "chmod",
  "symlink",
  "link",
  "utimes",
  "mv",
]);

/** The same file system, refusing every change. `mountPoint` is for its complaints. */
function readOnly(filesystem: IFileSystem, mountPoint: string): IFileSystem {
  const refuse = async (path: string): Promise<never> => {
    throw Object.assign(new Error(`EROFS: read-only file system, open '${mountPoint}${path}'`), { code: "EROFS" });
  };
  return new Proxy(filesystem, {
    get(target, key) {
      if (CHANGES.has(key)) return refuse;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
