/** Asks the server for commits that a push leaves out because the server has them: protocol version 2, commits alone. */

import { bounded } from "../advertisement.ts";
import { ByteSource } from "../byte_source.ts";
import { FLUSH, pktLine, readPacket } from "../pkt_line.ts";
import type { Remote } from "../remote.ts";
import type { Descent } from "./descent.ts";
import { PackCommits } from "./pack_commits.ts";

const V2 = { "git-protocol": "version=2" };
const MAX_WANTS = 64;
const MAX_BYTES = 256 * 1024 * 1024;
const DELIMITER = Buffer.from("0001");

/** Follows the ends of `descent` on the server, until it is proven or nothing is left to see. Rejects with Refusal. */
export async function followOnServer(remote: Remote, descent: Descent, ancestor: string): Promise<void> {
  const wants = descent.ends;
  if (wants.length === 0 || wants.length > MAX_WANTS) return;
  const capabilities = await v2Capabilities(remote);
  const fetch = capabilities.find((line) => line.startsWith("fetch"));
  if (fetch === undefined) return;
  const format = ancestor.length === 64 ? [pktLine("object-format=sha256")] : [];
  const body = Buffer.concat([
    pktLine("command=fetch"),
    ...format,
    DELIMITER,
    pktLine("no-progress\n"),
    ...(/[ =]filter\b/.test(fetch) ? [pktLine("filter tree:0\n")] : []),
    ...wants.map((id) => pktLine(`want ${id}\n`)),
    pktLine(`have ${ancestor}\n`),
    pktLine("done\n"),
    FLUSH,
  ]);
  const answer = await remote.call("git-upload-pack", once(body), V2);
  try {
    const pack = new PackCommits(new ByteSource(packOf(new ByteSource(bounded(answer, MAX_BYTES)))), ancestor.length);
    for await (const commit of pack.commits()) {
      descent.add(commit);
      if (descent.proven) return;
    }
  } finally {
    answer.destroy();
  }
}

async function v2Capabilities(remote: Remote): Promise<string[]> {
  const answer = await remote.discover("git-upload-pack", V2);
  const source = new ByteSource(bounded(answer, MAX_BYTES));
  const lines: string[] = [];
  let version = 0;
  try {
    for (let flushes = 0; flushes < 2; ) {
      const packet = await readPacket(source);
      if (packet === null) break;
      if (packet === "flush") {
        flushes += 1;
        // The service's own line may be left out in version 2, and the first flush then ends everything.
        if (version === 2) break;
      } else if (Buffer.isBuffer(packet)) {
        const line = packet.toString("latin1").trimEnd();
        if (line === "version 2") version = 2;
        else if (version === 2) lines.push(line);
        else if (!line.startsWith("# ")) break;
      }
    }
  } finally {
    answer.destroy();
  }
  return lines;
}

/** The pack in the side band of an answer to `command=fetch`; nothing when there is none. */
async function* packOf(source: ByteSource): AsyncGenerator<Buffer> {
  let inPack = false;
  for (;;) {
    const packet = await readPacket(source, true);
    if (packet === null || packet === "flush" || packet === "end") return;
    if (packet === "delimiter") continue;
    if (!inPack) inPack = packet.toString("latin1").trimEnd() === "packfile";
    else if (packet[0] === 1) yield packet.subarray(1);
    else if (packet[0] === 3) return;
  }
}

async function* once(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}
