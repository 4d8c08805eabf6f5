/** Puts the bytes of uploaded files where a message names them: the model endpoint knows nothing of our file ids. */
import type { BlobStore, Catalog } from "../../session/catalog.ts";

/** As {@link fileSource} writes it. Text of a message cannot look like this: its quotes are escaped. */
const SOURCE = /\{"type":"file","file_id":"(file_[A-Za-z0-9]+)"\}/g;
/** A whole image: what is said in the place of one that is gone cannot be its source. */
const IMAGE = /\{"type":"image","source":\{"type":"file","file_id":"(file_[A-Za-z0-9]+)"\}\}/g;

/** The one form in which a request under construction names a file. */
export function fileSource(fileId: string): { type: "file"; file_id: string } {
  return { type: "file", file_id: fileId };
}

/**
 * The body with every file source replaced by the file's content, base64 or, for text, as text.
 * A file that was deleted since leaves a text that says so: the request must stay valid for ever.
 */
export async function withFiles(body: string, catalog: Catalog, blobs: BlobStore): Promise<string> {
  const ids = new Set([...body.matchAll(SOURCE)].map((match) => match[1] ?? ""));
  if (ids.size === 0) return body;
  const sources = new Map<string, Source>();
  for (const id of ids) sources.set(id, await contentOf(id, catalog, blobs));
  const withImages = body.replace(IMAGE, (_match, id: string) => {
    const source = sources.get(id);
    return JSON.stringify(source?.type === "base64" ? { type: "image", source } : { type: "text", text: source?.data });
  });
  return withImages.replace(SOURCE, (_match, id: string) => JSON.stringify(sources.get(id)));
}

interface Source {
  type: "text" | "base64";
  media_type: string;
  data: string;
}

async function contentOf(id: string, catalog: Catalog, blobs: BlobStore): Promise<Source> {
  const file = await catalog.getFile(id);
  if (file === null) return { type: "text", media_type: "text/plain", data: `[The file ${id} was deleted.]` };
  let bytes: Buffer;
  try {
    bytes = Buffer.from(await blobs.get(file.sha256));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { type: "text", media_type: "text/plain", data: `[The file ${id} cannot be read: ${reason}]` };
  }
  if (file.mime_type.startsWith("text/")) {
    return { type: "text", media_type: "text/plain", data: bytes.toString("utf8").replaceAll("\0", "\uFFFD") };
  }
  return { type: "base64", media_type: file.mime_type, data: bytes.toString("base64") };
}
