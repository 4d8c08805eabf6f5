/** A long context is compacted: an event of its own, and nothing that the client has to do. */
import { describe, expect, test } from "vitest";
import { ASK } from "../../model_script.ts";
import { createSession, message, untilEvent, untilIdle } from "../../sessions.ts";
import type { Use } from "../../stand.ts";

export function compactionFlows(use: Use): void {
  describe("compaction", () => {
    test("is told as an event", async () => {
      const { client } = use();
      const { id } = await createSession(client, {
        initial_events: [message(`${ASK.command}echo ${"word ".repeat(8000)}`)],
      });
      await untilIdle(client, id);
      expect(await untilEvent(client, id, "agent.thread_context_compacted")).toMatchObject({
        processed_at: expect.any(String),
      });
    });
  });
}
