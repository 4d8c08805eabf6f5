/** L5: bodies over 64 KiB are outside the ledger's rows, and nobody who reads an event notices. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import { memoryBlobStore } from "../blobs.ts";
import { agentMessage, label, newSession, read } from "./drafts.ts";
import type { OpenLedger } from "./rig.ts";

export function bodyRules(open: OpenLedger): void {
  describe("L5 large bodies", () => {
    test("L5 a body over 64 KiB leaves the event, is there before the append returns, and comes back when read", async () => {
      const blobs = memoryBlobStore();
      const ledger = await open({ blobs });
      const id = await newSession(ledger);
      const large = "größer ".repeat(20_000);
      const draft: EventDraft = {
        type: "agent.tool_result",
        tool_use_id: "sevt_1",
        content: [
          { type: "text", text: "small" },
          { type: "text", text: large },
        ],
      };
      const stored = await ledger.emitEvent(id, draft);
      expect(stored.event).toMatchObject({ content: [{ text: "small" }, { text: large }] });
      const [marked] = await read(ledger, id, { after_seq: 1, hydrate: false });
      const marker = firstMarker(marked?.event);
      expect(marker).toMatchObject({ bytes: Buffer.byteLength(large) });
      expect(large.startsWith(String(marker.preview))).toBe(true);
      expect(Buffer.byteLength(String(marker.preview))).toBeLessThanOrEqual(2048);
      expect(Buffer.from(blobs.getSync(String(marker.longhaul_blob))).toString()).toBe(large);
      expect(Buffer.byteLength(JSON.stringify(marked?.event))).toBeLessThanOrEqual(64 * 1024);
      expect(await read(ledger, id, { after_seq: 1 })).toEqual([stored]);
      expect((await ledger.listPublicEvents(id, { limit: 1 })).events[0]?.event).toEqual(stored.event);
    });

    test("L5 a body that is gone reads as its preview and a notice", async () => {
      const blobs = memoryBlobStore();
      const failing = {
        ...blobs,
        getSync: () => {
          throw new Error("blob abc is missing from the blob store");
        },
      };
      const ledger = await open({ blobs: failing });
      const id = await newSession(ledger);
      const { event } = await ledger.emitEvent(id, agentMessage("x".repeat(100_000)));
      const [stored] = await read(ledger, id, { after_seq: 1 });
      const text = stored === undefined ? "" : label(stored);
      expect(text).toMatch(
        /^x{2048}\n\[The rest of this text \(100000 bytes in all\) could not be read: blob abc is missing/,
      );
      expect(await ledger.getEvent(id, event.id)).not.toBeNull();
    });

    test("L5 content that looks like a marker reads no other body", async () => {
      const blobs = memoryBlobStore();
      const secret = blobs.putSync(Buffer.from("another session's body"));
      const ledger = await open({ blobs });
      const id = await newSession(ledger);
      const forged = { longhaul_blob: secret, bytes: 22, preview: "x" };
      for (const filler of ["", "y".repeat(100_000)]) {
        await ledger.emitEvent(id, { type: "agent.tool_use", name: "write", input: { forged, filler } });
      }
      const events = await read(ledger, id, { after_seq: 1 });
      for (const { event } of events) expect(event).toMatchObject({ input: { forged } });
      expect(JSON.stringify(events)).not.toContain("another session");
    });

    test("L5 any JSON comes back as it went in, however large its parts", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      const part = fc.oneof(
        fc.array(fc.nat(0xffff), { maxLength: 50 }).map((units) => String.fromCharCode(...units)),
        fc.integer({ min: 1, max: 10_000 }).map((size) => "ä€😀".repeat(size).slice(0, 2 * size)),
        fc.constant("\0\ud800 lone"),
        fc.constant(`${"x".repeat(70_000)}\ud800`),
      );
      const value = fc.dictionary(
        fc.oneof(fc.string(), fc.constant("__proto__")),
        fc.oneof(part, fc.array(part, { maxLength: 3 }), fc.dictionary(fc.string(), part, { maxKeys: 3 })),
        { maxKeys: 4 },
      );
      await fc.assert(
        fc.asyncProperty(value, async (input) => {
          const text = JSON.stringify(input);
          const { seq } = await ledger.emitEvent(id, {
            type: "agent.tool_use",
            name: "x",
            input: JSON.parse(text) as Record<string, unknown>,
          });
          const [stored] = await read(ledger, id, { after_seq: seq - 1 });
          const same = stored?.event.type === "agent.tool_use" && JSON.stringify(stored.event.input) === text;
          // Comparing megabytes with `toBe` costs seconds.
          expect(same).toBe(true);
        }),
        { numRuns: 30 },
      );
      expect((await ledger.verify(id)).broken_at).toBeNull();
    });
  });
}

/** The marker in the second block of a tool result's content. */
function firstMarker(event: unknown): Record<string, unknown> {
  const { content } = event as { content: [unknown, { text: Record<string, unknown> }] };
  return content[1].text;
}
