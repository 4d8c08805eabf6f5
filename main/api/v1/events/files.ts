/** Uploaded files that content blocks refer to. */
import { invalid } from "../../../contract/errors.ts";
import { beginsLike, IMAGE_TYPES, MAX_IMAGE_BYTES, type ResultContent } from "../../../contract/schemas/content.ts";
import type { FileRecord } from "../../../session/catalog.ts";
import type { Deps } from "../../http/context.ts";
import { usableFile } from "../files/file.ts";

/**
 * Each file must exist and be of a kind that the model reads: a block that the Messages API refuses would be refused
 * again with every later request of the session.
 * @param within session whose files alone may be named; null for all files
 */
export async function checkContentFiles(
  deps: Pick<Deps, "catalog" | "blobs" | "now">,
  content: ResultContent,
  field: string,
  within: string | null = null,
): Promise<void> {
  for (const [index, block] of content.entries()) {
    if (block.type !== "image" && block.type !== "document") continue;
    if (block.source.type !== "file") continue;
    const name = `${field}[${index}].source.file_id`;
    const file = await usableFile(deps, block.source.file_id, name, within);
    const readable =
      block.type === "image"
        ? IMAGE_TYPES.some((type) => type === file.mime_type)
        : file.mime_type === "application/pdf" || file.mime_type.startsWith("text/");
    if (readable) {
      await checkBytes(deps, file, block.type, name);
      continue;
    }
    const wanted = block.type === "image" ? `an image (${IMAGE_TYPES.join(", ")})` : "a PDF or a text";
    invalid(
      `\`${name}\`: file ${file.id} is ${file.mime_type}, not ${wanted}. Attach it to the session as a file resource instead.`,
    );
  }
}

/** The type of a file is what its name says; the Messages API looks at its bytes. */
async function checkBytes(
  deps: Pick<Deps, "blobs">,
  file: FileRecord,
  kind: "image" | "document",
  field: string,
): Promise<void> {
  if (file.size_bytes === 0) invalid(`\`${field}\`: file ${file.id} is empty.`);
  if (kind === "image" && file.size_bytes > MAX_IMAGE_BYTES) {
    invalid(`\`${field}\`: image ${file.id} has ${file.size_bytes} bytes; the model takes at most 5 MB.`);
  }
  const beginning = Buffer.from(await deps.blobs.get(file.sha256)).toString("latin1", 0, 8);
  if (!beginsLike(file.mime_type, beginning)) {
    invalid(`\`${field}\`: file ${file.id} does not begin like a file of its type, ${file.mime_type}.`);
  }
}
