/** A skill's files as a zip archive with one top-level folder. */
import type { SkillFile } from "../../../contract/skills/session_skills.ts";

/** The same files give the same archive. */
const MADE_AT = new Date("2000-01-01T12:00:00Z");

export async function zipOf(name: string, files: readonly SkillFile[]): Promise<Buffer> {
  // Loaded with the first download: the engine's start need not wait for it.
  const { ZipFile } = await import("yazl");
  const archive = new ZipFile();
  for (const { path, executable, bytes } of files) {
    archive.addBuffer(Buffer.from(bytes), `${name}/${path}`, {
      mtime: MADE_AT,
      mode: executable ? 0o100755 : 0o100644,
    });
  }
  archive.end();
  const chunks: Buffer[] = [];
  for await (const chunk of archive.outputStream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
