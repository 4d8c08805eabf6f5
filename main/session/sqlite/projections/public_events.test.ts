import * as path from "node:path";
import Database from "better-sqlite3";
import { expect, test } from "vitest";
import type { EventDraft } from "../../../contract/events.ts";
import { agentMessage, consumed, newSession, userMessage } from "../../testing/drafts.ts";
import { temporaryStore } from "../../testing/temporary_store.ts";
import { laneOf } from "./minutes.ts";
import { concernsPlaces } from "./public_events.ts";

test("L6 pages come out of the indexes in order: the first and the last of a long session cost the same", async () => {
  const { ledger, dataDir } = temporaryStore();
  const id = await newSession(ledger);
  for (let round = 0; round < 40; round++) {
    const drafts = Array.from({ length: 250 }, (_, index) =>
      index % 5 === 0 ? userMessage("in") : agentMessage("out"),
    );
    const stored = await ledger.emitEvents(id, drafts);
    await ledger.emitEvent(id, consumed(...stored.filter(({ event }) => event.type === "user.message")));
  }
  const timed = async (order: "asc" | "desc"): Promise<number> => {
    const start = performance.now();
    const page = await ledger.listPublicEvents(id, { limit: 50, order });
    expect(page.events).toHaveLength(50);
    return performance.now() - start;
  };
  await timed("asc");
  await timed("desc");
  // Reading all 10,000 takes over 30 ms on the slowest machine this was made for.
  expect(Math.min(await timed("asc"), await timed("asc"), await timed("asc"))).toBeLessThan(15);
  expect(Math.min(await timed("desc"), await timed("desc"), await timed("desc"))).toBeLessThan(15);
  const db = new Database(path.join(dataDir, "ledger.db"), { readonly: true });
  const indexes = db
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'inputs'")
    .pluck()
    .all();
  expect(indexes).toContain("inputs_by_place");
  db.close();
});

test("only queued events and those that consume them decide places", () => {
  const of = (draft: EventDraft): boolean =>
    concernsPlaces({ ...draft, id: "", processed_at: "" } as Parameters<typeof concernsPlaces>[0]);
  expect([userMessage("x"), consumed(), agentMessage("x")].map(of)).toEqual([true, true, false]);
});

test("every lane of the overview has its events", () => {
  const lanes = {
    you: ["user.message", "user.tool_confirmation", "system.message"],
    model: [
      "agent.message",
      "agent.thinking",
      "span.model_request_start",
      "longhaul.model_response",
      "longhaul.compaction",
    ],
    tools: ["agent.tool_use", "agent.mcp_tool_result", "longhaul.tool_started", "longhaul.call_settled"],
    sandbox: ["longhaul.sandbox_ready"],
    infrastructure: ["session.status_idle", "longhaul.lease_acquired", "longhaul.cut_off", "workflow.of_the_future"],
  };
  for (const [lane, types] of Object.entries(lanes)) expect(types.map(laneOf)).toEqual(types.map(() => lane));
});
