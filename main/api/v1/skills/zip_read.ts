/** Reads a skill from an uploaded zip archive, which may be hostile. */
import { crc32 } from "node:zlib";
import type { Entry, ZipFile } from "yauzl";
import { ApiError, invalid } from "../../../contract/errors.ts";
import {
  checkPath,
  isScript,
  MAX_SKILL_BYTES,
  MAX_SKILL_FILES,
  type SkillTreeBuilder,
  tooManyBytes,
  tooManyFiles,
} from "./tree.ts";

/** Folders are entries as well. */
const MAX_ENTRIES = 2 * MAX_SKILL_FILES;
const STORED = 0;
const DEFLATED = 8;
const KIND = 0o170000;
const REGULAR = 0o100000;
const FOLDER = 0o040000;

/** True for bytes that begin as a zip archive does, an empty one included. */
export function isZip(bytes: Uint8Array): boolean {
  const [a, b, c, d] = bytes;
  return a === 0x50 && b === 0x4b && ((c === 3 && d === 4) || (c === 5 && d === 6));
}

/**
 * Adds every file of the archive. What is unpacked is bounded by what the archive's directory announces, and that by
 * {@link MAX_SKILL_BYTES}: however a bomb is nested or overlapped, no more than that is ever inflated.
 * @throws ApiError 400 that says what is wrong with the archive
 */
export async function readZip(bytes: Buffer, tree: SkillTreeBuilder): Promise<void> {
  // Loaded with the first archive: the engine's start need not wait for it.
  const { fromBufferPromise } = await import("yauzl");
  let archive: ZipFile | null = null;
  try {
    archive = await fromBufferPromise(bytes, { lazyEntries: true, strictFileNames: true });
    if (archive.entryCount > MAX_ENTRIES) tooManyFiles();
    let announced = 0;
    for await (const entry of archive.eachEntry()) {
      announced += entry.uncompressedSize;
      if (announced > MAX_SKILL_BYTES) tooManyBytes();
      const kind = kindOf(entry);
      if (kind === "folder") checkPath(entry.fileName.replace(/\/$/, ""));
      else {
        const content = await contentOf(archive, entry);
        tree.add(entry.fileName, isExecutable(entry, content), content);
      }
    }
  } catch (error) {
    if (error instanceof ApiError) throw error;
    invalid(`\`files\`: the zip archive cannot be read: ${error instanceof Error ? error.message : String(error)}.`);
  } finally {
    archive?.close();
  }
}

/** @throws ApiError 400 for anything but a plain file or a folder */
function kindOf(entry: Entry): "file" | "folder" {
  const name = JSON.stringify(entry.fileName.slice(0, 200));
  if (entry.isEncrypted()) invalid(`\`files\`: ${name} is encrypted. Make the archive without a password.`);
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED) {
    invalid(
      `\`files\`: ${name} is compressed with method ${entry.compressionMethod}. Use deflate, which every zip program has.`,
    );
  }
  const mode = modeOf(entry) & KIND;
  const isFolder = entry.fileName.endsWith("/");
  if (mode !== 0 && mode !== (isFolder ? FOLDER : REGULAR)) {
    invalid(`\`files\`: ${name} is a link or a special file. A skill consists of plain files and folders.`);
  }
  return isFolder ? "folder" : "file";
}

/** Programs that know no modes leave these bits zero. */
function modeOf(entry: Entry): number {
  return entry.externalFileAttributes >>> 16;
}

function isExecutable(entry: Entry, content: Uint8Array): boolean {
  return modeOf(entry) === 0 ? isScript(content) : (modeOf(entry) & 0o111) !== 0;
}

async function contentOf(archive: ZipFile, entry: Entry): Promise<Buffer> {
  const chunks: Buffer[] = [];
  // Ends with an error when more bytes come out than the directory announced.
  for await (const chunk of await archive.openReadStreamPromise(entry)) chunks.push(chunk as Buffer);
  const content = Buffer.concat(chunks);
  if (crc32(content) !== entry.crc32) {
    invalid(`\`files\`: ${JSON.stringify(entry.fileName)} is damaged (its checksum is wrong). Make the archive again.`);
  }
  return content;
}
