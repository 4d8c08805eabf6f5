/** The events of a call of a web tool. */
import type { TokenPrice } from "../../contract/cost/prices.ts";
import { DEMO_MODEL } from "../../contract/demo.ts";
import type { EventDraft } from "../../contract/events.ts";
import type { OpenCall } from "../../contract/fold_calls.ts";
import { crashPoint } from "../../crash_points.ts";
import type { WebToolName } from "./definitions.ts";
import type { WebCall, WebTools } from "./port.ts";

interface Ports {
  web: WebTools;
  priceOf: (model: string) => TokenPrice | null;
}

/**
 * Runs the call, also when an earlier process was cut off in it: it changes nothing anywhere.
 * @param again that an earlier process had recorded it as started
 * @returns null when it was stopped
 */
export async function webEvents(
  ports: Ports,
  call: OpenCall,
  given: Omit<WebCall, "tool">,
  again: boolean,
  signal: AbortSignal,
): Promise<EventDraft[] | null> {
  const tool = call.name as WebToolName;
  const events: EventDraft[] = [];
  crashPoint("tool.before_dispatch");
  try {
    const { content, is_error, spent } = await ports.web.execute({ ...given, tool }, signal);
    if (spent !== null) {
      const price = ports.priceOf(spent.model === DEMO_MODEL ? DEMO_MODEL : given.agent.model.id);
      events.push({ type: "longhaul.web_request", tool_use_id: call.id, tool, price, ...spent });
    }
    events.push({ type: "agent.tool_result", tool_use_id: call.id, content, is_error });
  } catch (error) {
    if (signal.aborted) return null;
    const message = `${tool} failed unexpectedly: ${error instanceof Error ? error.message : String(error)}`;
    events.push({
      type: "agent.tool_result",
      tool_use_id: call.id,
      content: [{ type: "text", text: message }],
      is_error: true,
    });
  }
  if (again) events.push({ type: "longhaul.call_settled", tool_use_id: call.id, how: "run_again" });
  return events;
}
