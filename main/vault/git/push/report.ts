/** Answers to a push that git's own client understands and shows. */
import { bandLines, FLUSH, pktLine } from "../pkt_line.ts";
import type { PushCommands } from "./commands.ts";

export const RESULT_TYPE = "application/x-git-receive-pack-result";

/**
 * The answer of a server that took no update: each ref is rejected for `reason`, and `text` is shown as `remote: …`.
 * @param reason a few words on one line
 */
export function rejection({ updates, capabilities }: PushCommands, reason: string, text: string): Buffer {
  const lines = [pktLine("unpack ok\n"), ...updates.map(({ ref }) => pktLine(`ng ${ref} ${reason}\n`)), FLUSH];
  const wanted = capabilities.some((name) => name.startsWith("report-status"));
  const report = wanted ? Buffer.concat(lines) : Buffer.alloc(0);
  if (!capabilities.includes("side-band-64k")) return report;
  return Buffer.concat([bandLines(2, Buffer.from(`Longhaul: ${text}\n`)), bandLines(1, report), FLUSH]);
}
