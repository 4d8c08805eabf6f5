/** `bash`: a command in the session's persistent shell. */
import { type Machine, OUTPUT_LIMIT, ShellFailure, type ShellOutput } from "../machine.ts";
import { CallInterrupted, type ExecuteCall, ToolFailure } from "../port.ts";
import { stripControlSequences } from "../text.ts";
import { ToolInput } from "./input.ts";

const DEFAULT_TIMEOUT_MS = 120_000;
/** Timers of the platform hold 31 bits. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export async function bash(input: unknown, machine: Machine, call: ExecuteCall): Promise<string> {
  const fields = new ToolInput("bash", input);
  const command = fields.text("command") ?? "";
  const restart = fields.flag("restart");
  const timeoutMs = Math.min(fields.count("timeout_ms") || DEFAULT_TIMEOUT_MS, MAX_TIMEOUT_MS);
  if (command === "" && !restart) throw new ToolFailure("bash: command is required");
  if (restart) await machine.restartShell();
  if (command === "") return "bash session restarted";
  try {
    const output = await machine.run(command, {
      timeoutMs,
      signal: call.signal,
      onOutput: (chunk) => call.onOutput?.(stripControlSequences(chunk)),
      spillName: `${call.tool_use_id.replace(/[^A-Za-z0-9_-]/g, "_").slice(0, 80)}.txt`,
    });
    const text = shown(output);
    if (output.exitCode !== 0) throw new ToolFailure(text === "" ? `exit ${output.exitCode}` : text);
    return text === "" ? "(no output)" : text;
  } catch (error) {
    if (!(error instanceof ShellFailure)) throw error;
    if (error.reason === "interrupted") throw new CallInterrupted("The command was stopped.");
    // After the contract's line: what the command said before the shell ended is often the reason why it ended.
    const output = stripControlSequences(error.output).replace(/\n+$/, "");
    throw new ToolFailure(`bash: ${error.message}${output === "" || error.reason === "timeout" ? "" : `\n${output}`}`);
  }
}

/**
 * The contract asks for the last 100 KiB of a command's output with a line that says so, and for a file with the whole
 * when an output is too long for the model: both, in this order.
 */
function shown(output: ShellOutput): string {
  const text = stripControlSequences(output.text).replace(/\n+$/, "");
  if (output.truncated === null) return text;
  const { bytes, file } = output.truncated;
  const where = file === null ? "could not be kept" : `is in ${file}${bytes > 10_000_000 ? " (its first 10 MB)" : ""}`;
  return `[output truncated]\n[These are the last ${OUTPUT_LIMIT} of ${bytes} bytes; the whole output ${where}.]\n${text}`;
}
