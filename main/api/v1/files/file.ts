/** What is known of an uploaded file, as responses show it and as other requests may use it. */
import type { BetaFileMetadata } from "@anthropic-ai/sdk/resources/beta/files";
import { ApiError, invalid, notFound } from "../../../contract/errors.ts";
import type { FileRecord } from "../../../session/catalog.ts";
import type { Deps } from "../../http/context.ts";

/** The response object of a file: the record without the places of its bytes. */
export function apiFile(record: FileRecord): BetaFileMetadata {
  const { sha256: _, output: __, ...metadata } = record;
  return metadata;
}

/** @throws ApiError 404 */
export async function existingFile(deps: Pick<Deps, "catalog">, id: string): Promise<FileRecord> {
  return (await deps.catalog.getFile(id)) ?? notFound("File", id);
}

export function isExpired(file: FileRecord, now: number): boolean {
  return file.expires_at != null && Date.parse(file.expires_at) <= now;
}

/** @throws ApiError 404 `file_expired` */
export function refuseExpired(file: FileRecord, now: number): void {
  if (!isExpired(file, now)) return;
  throw new ApiError(
    "not_found_error",
    `File ${file.id} expired at ${file.expires_at}. Upload it again.`,
    "file_expired",
  );
}

/**
 * A file that a request refers to.
 * @param within session that it must belong to; one of others is refused in the words for one that does not exist
 * @throws ApiError 400 that names the field
 */
export async function usableFile(
  deps: Pick<Deps, "catalog" | "now">,
  id: string,
  field: string,
  within: string | null = null,
): Promise<FileRecord> {
  const file = await deps.catalog.getFile(id);
  if (file === null || (within !== null && file.scope?.id !== within))
    invalid(
      `\`${field}\`: there is no file ${JSON.stringify(id)}. Upload it with POST /v1/files first.`,
      "file_not_found",
    );
  if (isExpired(file, deps.now()))
    invalid(`\`${field}\`: file ${id} expired at ${file.expires_at}. Upload it again.`, "file_not_found");
  return file;
}
