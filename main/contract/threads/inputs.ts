/** Which of the inputs that have arrived may enter a thread's transcript now. */
import type { PendingInput } from "../fold_calls.ts";
import type { ThreadState } from "./state.ts";

/**
 * Inputs that are taken in together, in order of arrival. A `system.message` ends them: the Messages API lets nothing but
 * the model's answer follow one, so what arrived after it waits until that answer is there.
 */
export function consumableInputs(
  thread: Pick<ThreadState, "inputs" | "system_context" | "awaiting_model" | "stopped" | "retry">,
): PendingInput[] {
  const { inputs } = thread;
  // A turn that died, or a request that has to wait, must not hold what the person says.
  const asks = thread.awaiting_model && !thread.stopped && thread.retry === null;
  if (thread.system_context === "last" && asks) return [];
  const first = inputs.findIndex(({ type }) => type === "system.message");
  if (first === -1) return inputs;
  let end = first;
  while (inputs[end]?.type === "system.message") end += 1;
  return inputs.slice(0, end);
}
