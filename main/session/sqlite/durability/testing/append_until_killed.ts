/**
 * A process that appends until it is killed, for the crash tests: `node append_until_killed.ts <data dir> <group size>`.
 * Each line of its output is one acknowledged event, `<session> <seq> <id>`; it is written before the next append.
 */
import * as fs from "node:fs";
import * as path from "node:path";
import { armCrashPoint } from "../../../../crash_points.ts";
import { fileBlobStore } from "../../../blobs.ts";
import { lockDataDir } from "../../../data_dir_lock.ts";
import { agentMessage, sessionCreated, userMessage } from "../../../testing/drafts.ts";
import { openSqliteLedger } from "../../open.ts";

const [dataDir = "", size = "1"] = process.argv.slice(2);
lockDataDir(dataDir);
const { ledger } = openSqliteLedger({ dataDir, blobs: fileBlobStore(path.join(dataDir, "blobs")) });
const sessions = ["sesn_0", "sesn_1", "sesn_2"];
for (const id of sessions) {
  if ((await ledger.getSession(id)) === null) await ledger.createSession(id, [sessionCreated()]);
}
armCrashPoint(process.env.LONGHAUL_CRASH_AT);
fs.writeSync(1, "ready\n");

for (let round = 0; ; round++) {
  const group = Array.from({ length: Number(size) }, (_, index) => {
    const id = sessions[(round + index) % sessions.length] ?? "";
    // Now and then a body that goes to the blob store.
    const text = `${round}.${index} ${"x".repeat(round % 10 === 0 ? 70_000 : 400)}`;
    return ledger.emitEvents(id, [agentMessage(text), userMessage(text.slice(0, 20))]);
  });
  for (const stored of (await Promise.all(group)).flat()) {
    fs.writeSync(1, `${stored.session_id} ${stored.seq} ${stored.event.id}\n`);
  }
}
