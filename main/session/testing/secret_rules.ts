/** L5: a known secret value is masked before an event is hashed, stored, folded and told; what makes an event one stays. */
import { describe, expect, test } from "vitest";
import type { EventDraft, StoredEvent } from "../../contract/events.ts";
import { knownSecrets } from "../../contract/secrets/testing/known.ts";
import { memoryBlobStore } from "../blobs.ts";
import { eventScrubber } from "../secrets/mask_event.ts";
import { agentMessage, newSession, read, snapshot, userMessage } from "./drafts.ts";
import type { OpenLedger } from "./rig.ts";

const SECRET = "canary-Zq8vL2mN4xR7tY1wB5";
const STARS = "*".repeat(SECRET.length);

export function secretRules(open: OpenLedger): void {
  describe("L5 secrets", () => {
    test("L5 what the append returns, what subscribers get and what is read later are the same masked event", async () => {
      const ledger = await open({ scrub: eventScrubber(knownSecrets(SECRET)) });
      const id = await newSession(ledger);
      const told: StoredEvent[] = [];
      ledger.subscribe((events) => told.push(...events));
      const stored = await ledger.emitEvent(id, agentMessage(`The key is ${SECRET}.`));
      expect(stored.event).toMatchObject({ content: [{ type: "text", text: `The key is ${STARS}.` }] });
      expect(told).toEqual([stored]);
      expect(await read(ledger, id, { after_seq: 1 })).toEqual([stored]);
      expect(await ledger.getEvent(id, stored.event.id)).toEqual(stored);
      expect(await ledger.verify(id)).toMatchObject({ broken_at: null });
      expect(await ledger.search("Zq8vL2mN4xR7tY1wB5", 10)).toEqual([]);
    });

    test("L5 the first event, several at once and those of a lease's end are masked too", async () => {
      const ledger = await open({ scrub: eventScrubber(knownSecrets(SECRET)) });
      const id = await newSession(ledger, { title: `about ${SECRET}` });
      expect((await ledger.getSession(id))?.fold.title).toBe(`about ${STARS}`);
      await ledger.emitEvents(id, [userMessage(SECRET), userMessage(`${SECRET}${SECRET}`)]);
      const holder = { id: "h", boot_id: "b", pid: 1, pid_started_at: 1 };
      const lease = await ledger.acquireLease(id, holder, 10_000, "user");
      if (lease === null) throw new Error("no lease");
      await ledger.releaseLease(lease, "rested", [agentMessage(SECRET)]);
      const all = JSON.stringify(await read(ledger, id));
      expect(all).not.toContain(SECRET);
      expect(all.split(STARS)).toHaveLength(6);
    });

    test("L5 a body that leaves for the blob store has no secret in it", async () => {
      const blobs = memoryBlobStore();
      const kept: string[] = [];
      const putSync = (bytes: Uint8Array): string => {
        kept.push(Buffer.from(bytes).toString());
        return blobs.putSync(bytes);
      };
      const watched = { ...blobs, putSync };
      const ledger = await open({ blobs: watched, scrub: eventScrubber(knownSecrets(SECRET)) });
      const id = await newSession(ledger);
      const text = `${"x".repeat(100_000)}${SECRET}${Buffer.from(SECRET).toString("base64")}`;
      const draft: EventDraft = { type: "agent.tool_result", tool_use_id: "sevt_1", content: [{ type: "text", text }] };
      const stored = await ledger.emitEvent(id, draft);
      expect(kept).toHaveLength(1);
      expect(kept[0]).toMatch(/^x{100000}\*+=*$/);
      expect(JSON.stringify(stored)).not.toContain(SECRET);
      expect(await read(ledger, id, { after_seq: 1 })).toEqual([stored]);
    });

    test("L5 an event is told beforehand as it will be kept", async () => {
      const ledger = await open({ scrub: eventScrubber(knownSecrets(SECRET)) });
      const clean = agentMessage("nothing");
      expect(ledger.asAppended(clean)).toBe(clean);
      const id = await newSession(ledger);
      const draft = agentMessage(`The key is ${SECRET}.`);
      const stored = await ledger.emitEvent(id, draft);
      expect(stored.event).toMatchObject(ledger.asAppended(draft));
    });

    test("L5 a weak value breaks nothing: types, ids and settings stay, texts are masked", async () => {
      const scrub = eventScrubber(
        knownSecrets("longhaul", "session.", "agent.message", "claude-sonnet-4-5", "tool_use"),
      );
      const ledger = await open({ scrub });
      const id = await newSession(ledger, { metadata: { note: "longhaul" } });
      const first = (await read(ledger, id))[0]?.event;
      expect(first).toMatchObject({ type: "longhaul.session_created" });
      expect(first).toMatchObject({ session: { agent: snapshot().agent, metadata: { note: "********" } } });
      const stored = await ledger.emitEvent(id, agentMessage("longhaul and agent.message"));
      expect(stored.event).toMatchObject({ type: "agent.message", content: [{ text: "******** and *************" }] });
      expect((await ledger.getSession(id))?.fold.last_seq).toBe(2);
    });
  });
}
