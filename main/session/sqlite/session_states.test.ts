import { expect, test } from "vitest";
import { agentMessage, label, newSession, read } from "../testing/drafts.ts";
import { temporaryStore } from "../testing/temporary_store.ts";

test("L2 an append follows what another connection has committed, not what this one remembers", async () => {
  const { ledger, dataDir } = temporaryStore();
  const { ledger: other } = temporaryStore({ dataDir });
  const id = await newSession(ledger);
  const quiet = await newSession(ledger);
  await ledger.emitEvent(id, agentMessage("a"));
  await other.emitEvent(id, agentMessage("b"));
  await other.emitEvent(id, agentMessage("c"));
  await ledger.emitEvent(quiet, agentMessage("the other session is asked for first"));
  await ledger.emitEvent(id, agentMessage("d"));
  await other.emitEvent(id, agentMessage("e"));
  expect((await ledger.getSession(id))?.fold.last_act).toBe("e");
  const events = await read(ledger, id);
  expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(events.slice(1).map(label)).toEqual(["a", "b", "c", "d", "e"]);
  expect(await ledger.verify(id)).toMatchObject({ events: 6, broken_at: null });
});
