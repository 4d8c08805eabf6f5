/** A result that is too long for the conversation is kept whole in the session's sandbox, where the agent can search it. */
import type { OpenCall } from "../../contract/fold_calls.ts";
import type { McpResult } from "../../tools/mcp/port.ts";
import type { Emit, HarnessPorts } from "../ports.ts";
import type { ThreadView } from "../thread_view.ts";

/** Where the sandbox's own tools put what is too long. */
const FOLDER = "/tmp/tool-output";

interface Context {
  view: ThreadView;
  ports: Pick<HarnessPorts, "hands">;
  emit: Emit;
}

/** The result with a note that names the file; as it was when it is all there, or no file could be made. Never rejects. */
export async function withWhole(
  { view, ports, emit }: Context,
  call: OpenCall,
  result: McpResult,
  signal: AbortSignal,
): Promise<McpResult> {
  const { whole } = result;
  if (whole === undefined) return result;
  const path = `${FOLDER}/${call.id}.txt`;
  const note = (text: string): McpResult => ({ ...result, content: [...result.content, { type: "text", text }] });
  // A worker's machine is not ours to write to.
  if (view.fold.environment.config.type !== "cloud") return note("[The rest of this result was not kept.]");
  try {
    const hand = await ports.hands.get(view, emit);
    // The call's own id: after a crash the same file is not written a second time.
    const written = { tool_use_id: call.id, signal, onOutput: () => undefined };
    await hand.execute("write", { file_path: path, content: whole }, written);
    return note(`[output truncated: ${whole.length} characters in all; the whole output is in ${path}]`);
  } catch {
    return note("[The rest of this result could not be kept: the sandbox did not take it.]");
  }
}
