/** Content blocks that a client may send. */
import { z } from "zod";
import { httpUrl, modelText } from "./primitives.ts";

const base64 = z
  .string()
  .min(1)
  .refine(
    (data) => data.length % 4 === 0 && /^[A-Za-z0-9+/]+={0,2}$/.test(data),
    "must be standard base64 with padding",
  );

const fileId = z.string().min(1).max(128);

const text = z.strictObject({ type: z.literal("text"), text: modelText });

export const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"] as const;

const image = z.strictObject({
  type: z.literal("image"),
  source: z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("base64"), media_type: z.enum(IMAGE_TYPES), data: base64 }),
    z.strictObject({ type: z.literal("url"), url: httpUrl }),
    z.strictObject({ type: z.literal("file"), file_id: fileId }),
  ]),
});

const document = z.strictObject({
  type: z.literal("document"),
  source: z.discriminatedUnion("type", [
    z.strictObject({ type: z.literal("base64"), media_type: z.literal("application/pdf"), data: base64 }),
    z.strictObject({ type: z.literal("text"), media_type: z.literal("text/plain"), data: modelText }),
    z.strictObject({ type: z.literal("url"), url: httpUrl }),
    z.strictObject({ type: z.literal("file"), file_id: fileId }),
  ]),
  title: z.string().max(500).nullish(),
  context: z.string().nullish(),
});

const searchResult = z.strictObject({
  type: z.literal("search_result"),
  source: z.string().min(1),
  title: z.string().min(1),
  content: z.array(text).min(1),
  citations: z.strictObject({ enabled: z.boolean() }),
});

/** Content of a user message. `redacted` blocks are the server's to write and are refused as an unknown type. */
export const messageContent = z
  .array(z.discriminatedUnion("type", [text, image, document]))
  .min(1)
  .max(1000);

/** A tool may have nothing to say, or output of any bytes: NUL, which no request may hold, becomes a replacement character. */
const resultText = z.strictObject({
  type: z.literal("text"),
  text: z.string().transform((said) => said.replaceAll("\0", "\uFFFD")),
});

/** Content of a tool result that a client computed. */
export const resultContent = z
  .array(z.discriminatedUnion("type", [resultText, image, document, searchResult]))
  .max(1000);

export type ResultContent = z.output<typeof resultContent>;
