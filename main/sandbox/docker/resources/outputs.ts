/** Files that the agent left under the outputs folder of a container, running or stopped. */
import { isUtf8 } from "node:buffer";
import { Readable } from "node:stream";
import { MAX_OUTPUTS, type OutputFile } from "../../../contract/local_api.ts";
import { OUTPUTS } from "../../machine.ts";
import { isOutputPath, outputTime } from "../../resources/output_path.ts";
import type { Container } from "../ports.ts";
import { entriesOf, runScript } from "./inside.ts";

const LIST_TIMEOUT_MS = 30_000;
const ARCHIVE_TIMEOUT_MS = 60_000;

/**
 * A line for each regular file: size, time, path. Names with a line end cannot be told from two files and are left out;
 * the sleep of a full pipe ends with `head`.
 */
const LIST = `cd ${OUTPUTS} 2>/dev/null || exit 0
command -v stat >/dev/null 2>&1 && command -v find >/dev/null 2>&1 || exit 1
find . -type f ! -path '*
*' -exec stat -c '%s %Y %n' {} + 2>/dev/null | head -n ${MAX_OUTPUTS + 1}
`;

/** At most `MAX_OUTPUTS + 1` regular files in the order of their paths. Works on a stopped container too. */
export async function listOutputs(container: Container): Promise<OutputFile[]> {
  const files = (await listWithFind(container)) ?? (await listFromArchive(container));
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Null when nothing can run in the container now, or its image lacks the programs. */
async function listWithFind(container: Container): Promise<OutputFile[] | null> {
  const done = await runScript(container, LIST, [], { timeoutMs: LIST_TIMEOUT_MS }).catch(() => null);
  if (done?.exitCode !== 0) return null;
  const files: OutputFile[] = [];
  for (const line of lines(done.stdout)) {
    if (!isUtf8(line)) continue;
    const [, size = "", time = "", path = ""] = /^(\d+) (\d+) \.\/(.+)$/s.exec(line.toString("utf8")) ?? [];
    if (isOutputPath(path)) files.push({ path, size: Number(size), modified_at: outputTime(Number(time) * 1000) });
  }
  return files;
}

/** Reads past all contents, so it takes as long as they are large; what came until a limit is told. */
async function listFromArchive(container: Container): Promise<OutputFile[]> {
  const tar = await container.getTar(OUTPUTS);
  if (tar === null) return [];
  const files: OutputFile[] = [];
  const sizes = new Map<string, number>();
  const deadline = Date.now() + ARCHIVE_TIMEOUT_MS;
  for await (const { header } of entriesOf(tar)) {
    const path = header.name.split("/").slice(1).join("/");
    // The second name of a file is told with the first one's size.
    const size = header.type === "link" ? sizes.get(header.linkname ?? "") : header.size;
    const isFile = header.type === "file" || header.type === "contiguous-file" || header.type === "link";
    if (!isFile || size === undefined || !isOutputPath(path)) continue;
    sizes.set(header.name, size);
    files.push({ path, size, modified_at: outputTime(header.mtime?.getTime() ?? 0) });
    if (files.length > MAX_OUTPUTS || Date.now() > deadline) break;
  }
  return files;
}

/**
 * See {@link SandboxProvider.readOutput}. Destroying the stream ends the transfer. Works on a stopped container too.
 * Links are not followed, neither the file nor a folder on the way to it.
 */
export async function readOutput(
  container: Container,
  path: string,
): Promise<{ size: number; stream: Readable } | null> {
  if (!isOutputPath(path)) return null;
  const parts = path.split("/");
  for (let depth = 1; depth < parts.length; depth += 1) {
    if ((await kindOf(container, `${OUTPUTS}/${parts.slice(0, depth).join("/")}`)) !== "directory") return null;
  }
  const tar = await container.getTar(`${OUTPUTS}/${path}`);
  if (tar === null) return null;
  const entries = entriesOf(tar);
  const first = await entries.next();
  if (first.done === true || first.value.header.type !== "file") {
    await entries.return(undefined);
    return null;
  }
  const { header, body } = first.value;
  const size = header.size ?? 0;
  const bytes = async function* (): AsyncGenerator<Buffer> {
    try {
      yield* body;
    } finally {
      await entries.return(undefined);
    }
  };
  const stream = Readable.from(bytes(), { objectMode: false });
  // Also when nobody ever read of it.
  stream.once("close", () => void tar.destroy());
  return { size, stream };
}

async function kindOf(container: Container, path: string): Promise<string | null> {
  const tar = await container.getTar(path);
  if (tar === null) return null;
  const entries = entriesOf(tar);
  const first = await entries.next();
  await entries.return(undefined);
  return first.done === true ? null : (first.value.header.type ?? null);
}

function* lines(bytes: Buffer): Generator<Buffer> {
  let start = 0;
  for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, start)) {
    yield bytes.subarray(start, end);
    start = end + 1;
  }
}
