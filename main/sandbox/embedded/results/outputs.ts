/** Files that the agent left under the outputs folder of an embedded sandbox. */
import { constants } from "node:fs";
import { lstat, open, opendir, realpath } from "node:fs/promises";
import { join, sep } from "node:path";
import { Readable } from "node:stream";
import { MAX_OUTPUTS, type OutputFile } from "../../../contract/local_api.ts";
import { OUTPUTS } from "../../machine.ts";
import { isOutputPath, outputTime } from "../../resources/output_path.ts";
import type { SandboxLayout } from "../layout.ts";

const MAX_DEPTH = 100;

/** At most `MAX_OUTPUTS + 1` regular files in the order of their paths; links are not followed. */
export async function listOutputs(layout: SandboxLayout): Promise<OutputFile[]> {
  const root = await outputsRoot(layout);
  if (root === null) return [];
  const files: OutputFile[] = [];
  const folders = [{ path: "", depth: 0 }];
  for (let folder = folders.pop(); folder !== undefined && files.length <= MAX_OUTPUTS; folder = folders.pop()) {
    const { path: above, depth } = folder;
    for (const { name, directory, file } of await entries(join(root, above))) {
      if (files.length > MAX_OUTPUTS) break;
      const path = above === "" ? name : `${above}/${name}`;
      if (!isOutputPath(path)) continue;
      if (directory && depth < MAX_DEPTH) folders.push({ path, depth: depth + 1 });
      const found = file ? await lstat(join(root, path)).catch(() => null) : null;
      if (found?.isFile() !== true) continue;
      files.push({ path, size: found.size, modified_at: outputTime(found.mtimeMs) });
    }
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1)).slice(0, MAX_OUTPUTS + 1);
}

/** Null when there is no such regular file. A link anywhere on the path leads nowhere: it could lead out of the sandbox. */
export async function readOutput(
  layout: SandboxLayout,
  path: string,
): Promise<{ size: number; stream: Readable } | null> {
  // On Windows a backslash would separate folders, and a colon name a disk or a stream.
  if (!isOutputPath(path) || (sep !== "/" && /[\\:]/.test(path))) return null;
  const root = await outputsRoot(layout);
  if (root === null) return null;
  const target = join(root, ...path.split("/"));
  // Not waited for: opening a pipe would hang.
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
  const file = await open(target, flags).catch(() => null);
  if (file === null) return null;
  try {
    const opened = await file.stat();
    // Looked up again after it was opened: a folder on the way may be a link, or have become one.
    const real = await realpath(target);
    const found = await lstat(real);
    if (opened.isFile() && real === target && found.ino === opened.ino && found.dev === opened.dev) {
      if (opened.size > 0) return { size: opened.size, stream: file.createReadStream({ end: opened.size - 1 }) };
      await file.close();
      // Not the file: it may have grown, and more than was announced would be read as the beginning of another answer.
      return { size: 0, stream: Readable.from([]) };
    }
  } catch {
    // It was removed just now.
  }
  await file.close();
  return null;
}

/** Real path of the outputs folder; null when the sandbox was never made, or the agent put a link in the folder's place. */
async function outputsRoot(layout: SandboxLayout): Promise<string | null> {
  const root = await realpath(layout.root).catch(() => null);
  if (root === null) return null;
  const outputs = join(root, ...OUTPUTS.split("/"));
  return (await realpath(outputs).catch(() => null)) === outputs ? outputs : null;
}

async function entries(folder: string): Promise<{ name: string; directory: boolean; file: boolean }[]> {
  const found = [];
  try {
    for await (const entry of await opendir(folder)) {
      found.push({ name: entry.name, directory: entry.isDirectory(), file: entry.isFile() });
    }
  } catch {
    // Removed or locked since it was listed: the rest is still there to be told.
  }
  // It may have become a link since: what is in another folder of this disk is not told.
  if ((await realpath(folder).catch(() => null)) !== folder) return [];
  return found.sort((a, b) => (a.name < b.name ? -1 : 1));
}
