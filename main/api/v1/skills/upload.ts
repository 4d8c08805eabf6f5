/** Takes in the files of a skill: a form with one part per file, or with one zip archive. */
import { ApiError, invalid } from "../../../contract/errors.ts";
import type { SkillFile } from "../../../contract/skills/session_skills.ts";
import { packSkill } from "../../../contract/skills/skill_pack.ts";
import { ByteCollector, bodyChunks, tooLarge } from "../../http/body.ts";
import type { ApiContext } from "../../http/context.ts";
import { boundaryOf, type PartHead, type PartWriter, readMultipart } from "../files/multipart.ts";
import { readManifest, type SkillManifest } from "./skill_md.ts";
import { isScript, MAX_SKILL_BYTES, MAX_SKILL_FILES, SkillTreeBuilder, tooManyFiles } from "./tree.ts";
import { isZip, readZip } from "./zip_read.ts";

const MAX_DISPLAY_NAME = 255;
const DRAINED_BYTES = 256 * 1024 * 1024;

export interface SkillUpload extends SkillManifest {
  files: SkillFile[];
  /** Null when the form gave none. */
  display_name: string | null;
}

/**
 * Reads the request whole: a skill is small.
 * @param fields which plain fields the form may have besides its files
 * @throws ApiError 400 or 413
 */
export async function receiveSkill(
  c: ApiContext,
  fields: readonly ("display_name" | "display_title")[],
): Promise<SkillUpload> {
  const boundary = boundaryOf(
    c.req.header("content-type"),
    "Send the files as multipart/form-data, in parts named `files[]`.",
  );
  const form = new SkillForm(fields);
  try {
    await readMultipart(bodyChunks(c), boundary, (head) => form.part(head));
  } catch (error) {
    if (!(error instanceof ApiError)) {
      invalid("The upload ended early: the connection was closed before all of it arrived. Send it again.");
    }
    await drain(bodyChunks(c));
    throw error;
  }
  const tree = new SkillTreeBuilder();
  const [only] = form.files;
  if (only !== undefined && form.files.length === 1 && isZip(only.bytes)) await readZip(only.bytes, tree);
  else for (const { name, bytes } of form.files) tree.add(name, isScript(bytes), bytes);
  const { folder, files, manifest } = tree.finish();
  return { ...(await readManifest(manifest, folder)), files, display_name: form.displayName };
}

/** A client that still sends does not read: what is on its way is let in and dropped, so that it gets the refusal. */
async function drain(body: AsyncIterable<Uint8Array>): Promise<void> {
  let left = DRAINED_BYTES;
  for await (const chunk of body) {
    left -= chunk.length;
    if (left < 0) return;
  }
}

/** The body under which the files are stored. */
export function packed(upload: SkillUpload): Uint8Array {
  return packSkill(upload.files);
}

class SkillForm {
  readonly files: { name: string; bytes: Buffer }[] = [];
  readonly #fields: readonly string[];
  #displayName: string | null = null;
  #bytes = 0;

  constructor(fields: readonly string[]) {
    this.#fields = fields;
  }

  get displayName(): string | null {
    const name = this.#displayName;
    if (name === null) return null;
    if (name.trim() === "" || name.length > MAX_DISPLAY_NAME || /[\p{Cc}\ufffd]/u.test(name)) {
      invalid(`\`display_name\` must be one line of 1 to ${MAX_DISPLAY_NAME} characters.`);
    }
    return name;
  }

  part(head: PartHead): PartWriter {
    if (head.name === "files[]" || head.name === "files") {
      if (this.files.length >= MAX_SKILL_FILES) tooManyFiles();
      if (!head.filename) invalid("`files`: a part has no file name. Give each its path, such as my-skill/SKILL.md.");
      const { filename } = head;
      return this.#collect(MAX_SKILL_BYTES, (bytes) => this.files.push({ name: filename, bytes }));
    }
    if (!this.#fields.includes(head.name)) invalid(`Unknown field \`${head.name.slice(0, 100)}\`: remove it.`);
    if (this.#displayName !== null) invalid(`\`${head.name}\` is given twice.`);
    return this.#collect(4 * MAX_DISPLAY_NAME, (bytes) => {
      this.#displayName = bytes.toString("utf8");
    });
  }

  #collect(limit: number, done: (bytes: Buffer) => void): PartWriter {
    const content = new ByteCollector();
    return {
      write: async (bytes) => {
        this.#bytes += bytes.length;
        if (content.length + bytes.length > limit || this.#bytes > MAX_SKILL_BYTES) tooLarge(MAX_SKILL_BYTES);
        content.add(bytes);
      },
      end: async () => done(content.taken()),
    };
  }
}
