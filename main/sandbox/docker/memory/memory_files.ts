/** Mounts of a container. Writable ones are the agent's folders; read-only ones are root's, so that nothing in them can change. */
import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { MAX_MEMORY_BYTES, MEMORY_ROOT } from "../../../contract/memory/paths.ts";
import type { ChangeProblem, MemoryFiles, MemoryMount, MountChange, MountScan } from "../../memory/port.ts";
import { SandboxLost } from "../../port.ts";
import { folderName } from "../../resources/history/store.ts";
import type { Container, ExecOptions, ExecResult } from "../ports.ts";
import { runScript, SCRATCH, STATE_DIR, stateFolders, type TarFile, tarOf } from "../resources/inside.ts";
import { parseScan } from "./scan_text.ts";
import { APPLY, READ, REMOVE_OWN, SCAN } from "./scripts.ts";
import { Slots } from "./slots.ts";

const AGENT_ID = 1000;
const LIMITS = { timeoutMs: 60_000 };

type Problems = Map<string, ChangeProblem>;
type WriteChange = Extract<MountChange, { op: "write" }>;

export class DockerMemoryFiles implements MemoryFiles {
  readonly #container: () => Promise<Container | null>;
  readonly #slots = new Slots();

  /** @param container a running one; null when the session has none */
  constructor(container: () => Promise<Container | null>) {
    this.#container = container;
  }

  async ready(): Promise<boolean> {
    return (await this.#container()) !== null;
  }

  async prepare(mounts: readonly MemoryMount[]): Promise<void> {
    const container = await this.#running();
    // The folder above is root's: the agent can neither remove a mount nor put something in its place.
    const folders = mounts.map(({ path, read_only }): TarFile => {
      return read_only
        ? { path, mode: 0o555, content: "folder" }
        : { path, mode: 0o755, uid: AGENT_ID, content: "folder" };
    });
    await container.putTar("/", tarOf([{ path: MEMORY_ROOT, mode: 0o755, content: "folder" }, ...folders]));
  }

  async scan(mounts: readonly MemoryMount[]): Promise<Map<string, MountScan>> {
    const paths = mounts.map(({ path }) => path);
    const done = await runScript(await this.#running(), SCAN, paths, LIMITS);
    const scans = parseScan(done.stdout);
    if (scans !== null) return scans;
    throw new Error("The folders could not be looked through: the image needs find, stat, sha256sum and base64.");
  }

  async read(mount: MemoryMount, paths: readonly string[]): Promise<Map<string, Uint8Array>> {
    const input = Buffer.from(paths.map((path) => `.${path}\n`).join(""));
    const done = await this.#run(READ, [mount.path], { input });
    const contents = new Map<string, Uint8Array>();
    const answers = done.stdout.toString("latin1").split("\n");
    for (const [index, path] of paths.entries()) {
      const answer = answers[index] ?? "x";
      const bytes = Buffer.from(answer.slice(2), "base64");
      if (answer.startsWith("f ") && bytes.length <= MAX_MEMORY_BYTES) contents.set(path, bytes);
    }
    return contents;
  }

  apply(mount: MemoryMount, changes: readonly MountChange[]): Promise<Problems> {
    return mount.read_only ? this.#applyAsRoot(mount, changes) : this.#applyAsAgent(mount, changes);
  }

  /** Contents go where only root writes; a program of the agent's then puts each in its place. */
  async #applyAsAgent(mount: MemoryMount, changes: readonly MountChange[]): Promise<Problems> {
    const container = await this.#running();
    const name = randomBytes(8).toString("hex");
    const incoming = `${STATE_DIR}/incoming-${name}`;
    const lines = changes.map(({ op, path, expected }, n) => `${op[0]} ${n} ${expected ?? "-"} ${path.slice(1)}\n`);
    const files: TarFile[] = [{ path: `${incoming}/plan`, content: Buffer.from(lines.join("")) }];
    for (const [n, change] of changes.entries()) {
      if (change.op !== "write") continue;
      files.push({ path: `${incoming}/${n}`, mode: 0o644, content: Buffer.from(change.content) });
    }
    const folder: TarFile = { path: incoming, mode: 0o755, content: "folder" };
    await container.putTar("/", tarOf([...stateFolders(), folder, ...files]));
    try {
      const done = await this.#run(APPLY, [mount.path, incoming, `${SCRATCH}/memory-${name}`]);
      return problemsOf(changes, done.stdout.toString("utf8"));
    } finally {
      await container.exec(["rm", "-rf", incoming], { user: "root" });
    }
  }

  /** The agent cannot touch anything on the way, so the engine may unpack there. */
  async #applyAsRoot(mount: MemoryMount, changes: readonly MountChange[]): Promise<Problems> {
    const container = await this.#running();
    const gone = changes.flatMap((change) => (change.op === "remove" ? [`${change.path.slice(1)}\n`] : []));
    if (gone.length > 0) {
      const argv = ["/bin/sh", "-c", REMOVE_OWN, "sh", mount.path];
      const done = await container.exec(argv, { user: "root", input: Buffer.from(gone.join("")), ...LIMITS });
      refuseFailure(done);
    }
    const writes = changes.filter((change): change is WriteChange => change.op === "write");
    const folders = new Set<string>();
    for (const { path } of writes) {
      for (let above = posix.dirname(path); above !== "/"; above = posix.dirname(above)) folders.add(above);
    }
    const files: TarFile[] = [...folders].sort().map((path) => {
      return { path: mount.path + path, mode: 0o555, content: "folder" };
    });
    for (const { path, content } of writes) files.push({ path: mount.path + path, content: Buffer.from(content) });
    if (files.length > 0) await container.putTar("/", tarOf(files));
    return new Map();
  }

  async kept(storeId: string): Promise<string | null> {
    return this.#slots.read(await this.#running(), folderName(storeId));
  }

  async keep(storeId: string, text: string): Promise<void> {
    await this.#slots.write(await this.#running(), folderName(storeId), text);
  }

  async #run(script: string, args: readonly string[], more: Pick<ExecOptions, "input"> = {}): Promise<ExecResult> {
    const done = await runScript(await this.#running(), script, args, { ...LIMITS, ...more });
    refuseFailure(done);
    return done;
  }

  async #running(): Promise<Container> {
    return (await this.#container()) ?? Promise.reject(new SandboxLost("The session's container is gone."));
  }
}

function refuseFailure({ exitCode, stderr }: ExecResult): void {
  if (exitCode === 0) return;
  const said = stderr.trim().split("\n").at(-1) ?? "";
  throw new Error(`A memory folder in the sandbox could not be reached (status ${exitCode}). ${said}`.trim());
}

function problemsOf(changes: readonly MountChange[], stdout: string): Problems {
  const answers = new Map(stdout.split("\n").map((line) => line.split(" ", 2) as [string, string]));
  const problems: Problems = new Map();
  for (const [n, { path }] of changes.entries()) {
    const answer = answers.get(String(n));
    if (answer === "ok") continue;
    problems.set(path, answer === "changed" || answer === "blocked" ? answer : "failed");
  }
  return problems;
}
