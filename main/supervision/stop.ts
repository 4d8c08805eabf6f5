/** How a supervised launch ends, and what that means for the process that supervised it. */
import type { ChildFailed } from "../contract/process.ts";
import type { ChildEnd } from "./child.ts";

/** How a supervised launch ended. `message` is for people; null when there is nothing to say. */
export interface Stop {
  code: number;
  reason: "drained" | "killed" | "failed" | "gave_up" | "crash_point";
  failure: ChildFailed | null;
  message: string | null;
}

/** What the end of one child means for the launch. */
export function stopFor(name: string, end: ChildEnd): Stop {
  switch (end.kind) {
    case "clean":
      return { code: 0, reason: "drained", failure: null, message: null };
    case "failed":
      return { code: 1, reason: "failed", failure: end.failure, message: end.failure.message };
    case "gave_up":
      return { code: 1, reason: "gave_up", failure: null, message: end.message };
    case "crash_point":
      return { code: 137, reason: "crash_point", failure: null, message: `The ${name} was killed at its crash point.` };
  }
}
