/** Events that a client may send: `POST /v1/sessions/{id}/events` and a session's `initial_events`. */
import { z } from "zod";
import { messageContent, resultContent, systemContent } from "./content.ts";
import { modelText } from "./primitives.ts";

const eventId = z.string().min(1).max(128);

export const userMessage = z.strictObject({ type: z.literal("user.message"), content: messageContent });

const userInterrupt = z.strictObject({
  type: z.literal("user.interrupt"),
  session_thread_id: z.string().max(128).nullish(),
});

const userToolConfirmation = z
  .strictObject({
    type: z.literal("user.tool_confirmation"),
    tool_use_id: eventId,
    result: z.enum(["allow", "deny"]),
    deny_message: z
      .string()
      .max(10_000)
      .refine((text) => !text.includes("\0"), "must not contain NUL characters")
      .nullish(),
  })
  .refine((event) => event.result === "deny" || typeof event.deny_message !== "string", {
    path: ["deny_message"],
    message: 'is only allowed when `result` is "deny"',
  });

const userCustomToolResult = z.strictObject({
  type: z.literal("user.custom_tool_result"),
  custom_tool_use_id: eventId,
  content: resultContent.optional(),
  is_error: z.boolean().nullish(),
});

/** The worker's answer to a call of the agent toolset in a session of a `self_hosted` environment. */
const userToolResult = z.strictObject({
  type: z.literal("user.tool_result"),
  tool_use_id: eventId,
  content: resultContent.optional(),
  is_error: z.boolean().nullish(),
});

export const MAX_RUBRIC_CHARS = 262_144;
const MAX_ITERATIONS = 20;

const rubric = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("text"), content: modelText.max(MAX_RUBRIC_CHARS) }),
  z.strictObject({ type: z.literal("file"), file_id: z.string().min(1).max(128) }),
]);

export const userDefineOutcome = z.strictObject({
  type: z.literal("user.define_outcome"),
  description: modelText,
  rubric,
  max_iterations: z.int().min(1).max(MAX_ITERATIONS).nullish(),
});

export const systemMessage = z.strictObject({ type: z.literal("system.message"), content: systemContent });

export const clientEvent = z.discriminatedUnion("type", [
  userMessage,
  userInterrupt,
  userToolConfirmation,
  userCustomToolResult,
  userToolResult,
  userDefineOutcome,
  systemMessage,
]);

/** Of a session's first events. */
export function hasOneOutcome(events: readonly { type: string }[]): boolean {
  return events.filter(({ type }) => type === "user.define_outcome").length <= 1;
}

export const ONE_OUTCOME = {
  error: "may hold one user.define_outcome: a session works towards one outcome at a time",
};

export const MAX_EVENTS_PER_REQUEST = 100;
export const MAX_INITIAL_EVENTS = 50;

export const sendEvents = z.strictObject({ events: z.array(clientEvent).min(1).max(MAX_EVENTS_PER_REQUEST) });

export type ClientEvent = z.output<typeof clientEvent>;
