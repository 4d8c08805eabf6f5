/** Bodies of `/v1/environments/{id}/work/…` and of our environment keys. */
import { z } from "zod";
import { metadataPatch } from "./primitives.ts";

export const workUpdate = z.strictObject({ metadata: metadataPatch });

export const workStop = z.strictObject({ force: z.boolean().optional() });

export const environmentKeyCreate = z.strictObject({ name: z.string().min(1).max(256).nullish() });
