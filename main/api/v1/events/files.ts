/** Uploaded files that content blocks refer to. */
import { invalid } from "../../../contract/errors.ts";
import { IMAGE_TYPES, type ResultContent } from "../../../contract/schemas/content.ts";
import type { Deps } from "../../http/context.ts";
import { usableFile } from "../files/file.ts";

/**
 * Each file must exist and be of a kind that the model reads: a block that the Messages API refuses would be refused
 * again with every later request of the session.
 */
export async function checkContentFiles(
  deps: Pick<Deps, "catalog" | "now">,
  content: ResultContent,
  field: string,
): Promise<void> {
  for (const [index, block] of content.entries()) {
    if (block.type !== "image" && block.type !== "document") continue;
    if (block.source.type !== "file") continue;
    const name = `${field}[${index}].source.file_id`;
    const file = await usableFile(deps, block.source.file_id, name);
    const readable =
      block.type === "image"
        ? IMAGE_TYPES.some((type) => type === file.mime_type)
        : file.mime_type === "application/pdf" || file.mime_type.startsWith("text/");
    if (readable) continue;
    const wanted = block.type === "image" ? `an image (${IMAGE_TYPES.join(", ")})` : "a PDF or a text";
    invalid(
      `\`${name}\`: file ${file.id} is ${file.mime_type}, not ${wanted}. Attach it to the session as a file resource instead.`,
    );
  }
}
