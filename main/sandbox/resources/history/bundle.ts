/** Git bundles without git's bundle command on this side: a header of refs in front of a pack. */
import { once } from "node:events";
import { GitFailure, startGit, withinTime } from "../git.ts";
import { isObjectId, type ObjectFormat } from "./source.ts";
import { type Store, storeArgs } from "./store.ts";

const MAX_HEADER_BYTES = 64 * 1024;
const IMPORT_TIMEOUT_MS = 15 * 60_000;

/** The header of a bundle whose pack holds everything the refs lead to. */
export function bundleHeader(format: ObjectFormat, refs: readonly { id: string; ref: string }[]): Buffer {
  const version = format === "sha1" ? "# v2 git bundle\n" : "# v3 git bundle\n@object-format=sha256\n";
  return Buffer.from(`${version}${refs.map(({ id, ref }) => `${id} ${ref}\n`).join("")}\n`);
}

/**
 * Takes the objects of a bundle into the store. The bundle was made by the agent's side, so its objects are checked one
 * by one, and so is that nothing they lead to is missing.
 * @param stream bytes of the bundle; destroyed when they are refused
 * @param maxBytes most bytes that are taken
 * @returns the commit that `ref` points at in the bundle. Rejects with {@link GitFailure}.
 */
export async function importBundle(
  store: Store,
  stream: AsyncIterable<Buffer>,
  ref: string,
  maxBytes: number,
): Promise<string> {
  const chunks = stream[Symbol.asyncIterator]();
  try {
    const { header, rest } = await readHeader(chunks);
    const commit = refOfHeader(header, ref);
    const args = ["index-pack", "--stdin", "--fix-thin", "--strict", `--max-input-size=${maxBytes}`];
    const child = await startGit([...storeArgs(store), ...args], { cwd: store.gitDir });
    child.stdout.resume();
    const ended = withinTime(child, "index-pack", IMPORT_TIMEOUT_MS);
    // Waited for below; until then a failure must not count as unhandled.
    ended.catch(() => undefined);
    const feed = async (): Promise<void> => {
      if (rest.length > 0) child.stdin.write(rest);
      for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
        if (child.stdin.destroyed) break;
        if (!child.stdin.write(next.value)) {
          await Promise.race([once(child.stdin, "drain"), ended.catch(() => undefined)]).catch(() => undefined);
        }
      }
      child.stdin.end();
    };
    try {
      await Promise.race([feed(), ended.then(() => new Promise<never>(() => undefined))]);
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    }
    await ended;
    return commit;
  } finally {
    await chunks.return?.(undefined);
  }
}

async function readHeader(chunks: AsyncIterator<Buffer>): Promise<{ header: string; rest: Buffer }> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const end = bytes.indexOf("\n\n");
    if (end >= 0) return { header: bytes.subarray(0, end).toString("latin1"), rest: bytes.subarray(end + 2) };
    if (bytes.length > MAX_HEADER_BYTES) throw new GitFailure("the bundle has no end to its header");
    const next = await chunks.next();
    if (next.done === true) throw new GitFailure("the bundle ends in its header");
    bytes = Buffer.concat([bytes, next.value]);
  }
}

function refOfHeader(header: string, ref: string): string {
  const [version = "", ...lines] = header.split("\n");
  if (!/^# v[23] git bundle$/.test(version)) throw new GitFailure("it is not a git bundle");
  for (const line of lines) {
    const [id = "", name = ""] = line.split(" ");
    if (name === ref && isObjectId(id)) return id;
  }
  throw new GitFailure(`the bundle has no ${ref}`);
}
