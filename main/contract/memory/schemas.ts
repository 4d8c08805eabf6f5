/** Bodies of requests below `/v1/memory_stores`. */
import { z } from "zod";
import { metadata, metadataPatch } from "../schemas/primitives.ts";
import { MAX_MEMORY_BYTES, memoryPathProblem, utf8Bytes } from "./paths.ts";

const name = z
  .string()
  .min(1)
  .max(255)
  .regex(/^\P{Cc}*$/u, "must not contain control characters");
const description = z.string().max(1024);

export const memoryStoreCreate = z.strictObject({
  name,
  description: description.nullish(),
  metadata: metadata.nullish(),
});

/** Omitted and null fields are kept; a null value in metadata deletes its key. */
export const memoryStoreUpdate = z.strictObject({
  name: name.nullish(),
  description: description.nullish(),
  metadata: metadataPatch.nullish(),
});

const path = z.string().superRefine((text, check) => {
  const problem = memoryPathProblem(text);
  if (problem !== null) check.addIssue({ code: "custom", message: problem });
});

const content = z
  .string()
  .refine((text) => utf8Bytes(text) <= MAX_MEMORY_BYTES, `must have at most ${MAX_MEMORY_BYTES} bytes of UTF-8 text`);

export const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lower-case hexadecimal characters");

/** Null content, which the contract's type allows, is an empty memory. */
export const memoryCreate = z.strictObject({ path, content: content.nullable() });

/** Omitted and null fields are kept. */
export const memoryUpdate = z.strictObject({
  path: path.nullish(),
  content: content.nullish(),
  precondition: z.strictObject({ type: z.literal("content_sha256"), content_sha256: sha256Hex }).nullish(),
});

export const memoryVersionRedact = z.strictObject({});
