/** Content blocks that a client may send. */
import { z } from "zod";
import { httpUrl, modelText } from "./primitives.ts";

/** Looks for a character that has no place: an expression that matches all of them overflows its stack on large bodies. */
function isBase64(data: string): boolean {
  const padding = data.endsWith("==") ? 2 : data.endsWith("=") ? 1 : 0;
  return data.length % 4 === 0 && !/[^A-Za-z0-9+/]/.test(data.slice(0, data.length - padding));
}

const base64 = z.string().min(1).refine(isBase64, "must be standard base64 with padding");

const fileId = z.string().min(1).max(128);

const text = z.strictObject({ type: z.literal("text"), text: modelText });

export const IMAGE_TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"] as const;
/** Larger images are refused by the Messages API, with every later request of the session. */
export const MAX_IMAGE_BYTES = 5 * 1024 * 1024;

const BEGINNINGS: Readonly<Record<string, string>> = {
  "image/png": "\x89PNG",
  "image/jpeg": "\xff\xd8\xff",
  "image/gif": "GIF8",
  "image/webp": "RIFF",
  "application/pdf": "%PDF",
};

/** True when bytes that begin so (one character each) can be of this type; also for types without a known beginning. */
export function beginsLike(mediaType: string, bytes: string): boolean {
  return bytes.startsWith(BEGINNINGS[mediaType] ?? "");
}

function isWhatItSays({ media_type, data }: { media_type: string; data: string }): boolean {
  // What is not base64 is another check's to refuse.
  return !isBase64(data) || beginsLike(media_type, atob(data.slice(0, 8)));
}

const NOT_WHAT_IT_SAYS = { path: ["data"], message: "does not begin like a file of its `media_type`" };

const image = z.strictObject({
  type: z.literal("image"),
  source: z.discriminatedUnion("type", [
    z
      .strictObject({ type: z.literal("base64"), media_type: z.enum(IMAGE_TYPES), data: base64 })
      .refine(isWhatItSays, NOT_WHAT_IT_SAYS)
      .refine(({ data }) => data.length <= (MAX_IMAGE_BYTES / 3) * 4 + 4, {
        path: ["data"],
        message: "must be at most 5 MB: the model takes no larger images",
      }),
    z.strictObject({ type: z.literal("url"), url: httpUrl }),
    z.strictObject({ type: z.literal("file"), file_id: fileId }),
  ]),
});

const document = z.strictObject({
  type: z.literal("document"),
  source: z.discriminatedUnion("type", [
    z
      .strictObject({ type: z.literal("base64"), media_type: z.literal("application/pdf"), data: base64 })
      .refine(isWhatItSays, NOT_WHAT_IT_SAYS),
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

/** Content of a system message. */
export const systemContent = z
  .array(z.discriminatedUnion("type", [text]))
  .min(1)
  .max(1000);

/** Content of a tool result that a client computed. */
export const resultContent = z
  .array(z.discriminatedUnion("type", [resultText, image, document, searchResult]))
  .max(1000);

export type ResultContent = z.output<typeof resultContent>;
