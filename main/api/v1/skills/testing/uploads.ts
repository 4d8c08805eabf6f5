/** Skills to upload: as files of a form, and as zip archives that no honest program would write. */
import { toFile } from "@anthropic-ai/sdk";
import { ZipFile } from "yazl";

export function manifest(name: string, description = "Does a thing. Use it when the thing is asked for."): string {
  return `---\nname: ${name}\ndescription: ${description}\n---\n# ${name}\n`;
}

/** Files of a form; keys are paths. */
export function formFiles(files: Record<string, string | Uint8Array>): Promise<File[]> {
  return Promise.all(Object.entries(files).map(([path, text]) => toFile(Buffer.from(text as string), path)));
}

export interface ZipMember {
  path: string;
  text?: string | Buffer;
  mode?: number;
  compress?: boolean;
}

/** A zip archive; what the writer refuses to write is patched in afterwards, in all places where it stands. */
export async function zipFile(members: readonly ZipMember[], patches: readonly [string, string][] = []): Promise<File> {
  const archive = new ZipFile();
  for (const { path, text = "", mode = 0o100644, compress = true } of members) {
    if (path.endsWith("/")) archive.addEmptyDirectory(path);
    else archive.addBuffer(Buffer.from(text as string), path, { mode, compress });
  }
  archive.end();
  const chunks: Buffer[] = [];
  for await (const chunk of archive.outputStream) chunks.push(chunk as Buffer);
  let bytes = Buffer.concat(chunks);
  for (const [from, to] of patches) {
    if (from.length !== to.length || !bytes.includes(from, 0, "latin1")) throw new Error(`cannot patch ${from}`);
    bytes = Buffer.from(bytes.toString("latin1").replaceAll(from, to), "latin1");
  }
  return toFile(bytes, "skill.zip");
}

/** Sets fields in every entry of the archive's directory: at these offsets these 2-byte or 4-byte numbers. */
export async function withDirectory(
  file: File,
  fields: readonly [offset: number, size: 2 | 4, value: number][],
): Promise<File> {
  const bytes = Buffer.from(await file.arrayBuffer());
  for (
    let at = bytes.indexOf("PK\x01\x02", 0, "latin1");
    at !== -1;
    at = bytes.indexOf("PK\x01\x02", at + 4, "latin1")
  ) {
    for (const [offset, size, value] of fields) bytes.writeUIntLE(value, at + offset, size);
  }
  return toFile(bytes, "skill.zip");
}
