/** Bodies of the local API under `/longhaul/v1`. */
import { z } from "zod";

export const wakeBody = z.strictObject({ reason: z.literal("user").optional() });

/** The code is shown once to whoever started the engine; the answer holds the API key. */
export const signInBody = z.strictObject({ code: z.string().min(1).max(256) });

export const bringBackBody = z.strictObject({ mount_path: z.string().min(1).max(1024).optional() });

export const pushDecisionBody = z.discriminatedUnion("result", [
  z.strictObject({ result: z.literal("allow"), deny_message: z.undefined().optional() }),
  z.strictObject({ result: z.literal("deny"), deny_message: z.string().min(1).max(2000).optional() }),
]);
