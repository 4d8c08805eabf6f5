/** Slices by position, the session list, unfinished work, search, deletion (L10, L12). */
import { describe, expect, test } from "vitest";
import type { EventDraft } from "../../contract/events.ts";
import { foldAll } from "../../contract/fold.ts";
import type { SessionQuery } from "../ledger.ts";
import {
  agentMessage,
  holder,
  idle,
  label,
  newSession,
  read,
  sessionCreated,
  snapshot,
  userMessage,
} from "./drafts.ts";
import { ManualClock, type OpenLedger } from "./rig.ts";

export function readingRules(open: OpenLedger): void {
  describe("reading", () => {
    test("slices are by position, type and thread, in both directions", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      await ledger.emitEvents(
        id,
        Array.from({ length: 600 }, (_, index) => agentMessage(`${index + 2}`)),
      );
      const seqs = async (range: object): Promise<number[]> => (await read(ledger, id, range)).map(({ seq }) => seq);
      expect(await seqs({})).toEqual(Array.from({ length: 601 }, (_, index) => index + 1));
      expect(await seqs({ order: "desc" })).toEqual(Array.from({ length: 601 }, (_, index) => 601 - index));
      expect(await seqs({ after_seq: 598 })).toEqual([599, 600, 601]);
      expect(await seqs({ before_seq: 4 })).toEqual([1, 2, 3]);
      expect(await seqs({ after_seq: 10, before_seq: 400, limit: 2 })).toEqual([11, 12]);
      expect(await seqs({ after_seq: 10, before_seq: 400, limit: 2, order: "desc" })).toEqual([399, 398]);
      expect(await seqs({ limit: 0 })).toEqual([]);
      expect(await seqs({ after_seq: 601 })).toEqual([]);
      expect(await seqs({ after_seq: 5, before_seq: 5 })).toEqual([]);
      expect(await seqs({ after_seq: -5, before_seq: 1e12, limit: 1 })).toEqual([1]);
      expect(await seqs({ types: ["longhaul.session_created"] })).toEqual([1]);
      expect(await seqs({ types: [] })).toEqual([]);
      expect(await seqs({ thread_id: "sthr_other" })).toEqual([]);
    });

    test("a read does not see what is appended while it goes on", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      await ledger.emitEvents(
        id,
        Array.from({ length: 300 }, (_, index) => agentMessage(`${index}`)),
      );
      let count = 0;
      for await (const stored of ledger.getEvents(id)) {
        expect(stored.seq).toBe(++count);
        if (count % 100 === 0) await ledger.emitEvent(id, agentMessage("meanwhile"));
      }
      expect(count).toBe(301);
    });

    test("L10 a session's fold is that of its events", async () => {
      const ledger = await open();
      const id = await newSession(ledger, { title: "t" });
      const drafts: EventDraft[] = [
        userMessage("go"),
        { type: "session.status_running" },
        { type: "agent.tool_use", name: "bash", input: { command: "ls" }, evaluated_permission: "allow" },
        { type: "session.updated", title: "new title" },
      ];
      for (const draft of drafts) await ledger.emitEvent(id, draft);
      const record = await ledger.getSession(id);
      expect(record?.fold).toEqual(foldAll(await read(ledger, id)));
      expect(record).toMatchObject({
        id,
        first_seq: 1,
        last_seq: 5,
        lease: null,
        fold: { title: "new title", phase: "running" },
      });
      expect((await ledger.listSessions({ limit: 5 }))[0]?.fold).toEqual(record?.fold);
    });

    test("L10 the session list filters, sorts and pages in both directions", async () => {
      const clock = new ManualClock();
      const ledger = await open({ now: clock.now });
      const times: string[] = [];
      for (let index = 0; index < 5; index++) {
        // Two of them in one millisecond: the id decides.
        if (index !== 3) clock.time += 1_000;
        times.push(new Date(clock.time).toISOString());
        const agent = { ...snapshot().agent, id: index % 2 === 0 ? "agent_A" : "agent_B", version: index };
        await ledger.createSession(`sesn_${index}`, [
          sessionCreated({ agent, deployment_id: index === 4 ? "depl_1" : null }),
        ]);
      }
      await ledger.emitEvent("sesn_1", { type: "longhaul.session_archived" });
      const ids = async (query: Partial<SessionQuery>): Promise<string[]> =>
        (await ledger.listSessions({ limit: 10, ...query })).map(({ id }) => id);
      expect(await ids({})).toEqual(["sesn_4", "sesn_3", "sesn_2", "sesn_0"]);
      expect(await ids({ include_archived: true, order: "asc" })).toEqual([
        "sesn_0",
        "sesn_1",
        "sesn_2",
        "sesn_3",
        "sesn_4",
      ]);
      expect(await ids({ agent_id: "agent_A" })).toEqual(["sesn_4", "sesn_2", "sesn_0"]);
      expect(await ids({ agent_id: "agent_B", agent_version: 3 })).toEqual(["sesn_3"]);
      expect(await ids({ deployment_id: "depl_1" })).toEqual(["sesn_4"]);
      expect(await ids({ created_gt: times[0] ?? "", created_lte: times[3] ?? "" })).toEqual(["sesn_3", "sesn_2"]);
      expect(await ids({ created_gte: times[4] ?? "" })).toEqual(["sesn_4"]);
      expect(await ids({ created_lt: times[2] ?? "" })).toEqual(["sesn_0"]);
      const from = (id: string, backward: boolean): SessionQuery["from"] => ({
        created_at: times[Number(id.slice(5))] ?? "",
        id,
        backward,
      });
      expect(await ids({ limit: 2, from: from("sesn_4", false) as NonNullable<SessionQuery["from"]> })).toEqual([
        "sesn_3",
        "sesn_2",
      ]);
      expect(await ids({ limit: 2, from: from("sesn_0", true) as NonNullable<SessionQuery["from"]> })).toEqual([
        "sesn_3",
        "sesn_2",
      ]);
      expect(
        await ids({ limit: 1, order: "asc", from: from("sesn_2", false) as NonNullable<SessionQuery["from"]> }),
      ).toEqual(["sesn_3"]);
      expect(
        await ids({ limit: 1, order: "asc", from: from("sesn_3", true) as NonNullable<SessionQuery["from"]> }),
      ).toEqual(["sesn_2"]);
    });

    test("an engine start finds work left, planned retries and unreleased leases, and nothing else", async () => {
      const ledger = await open({ isHolderAlive: () => true });
      const quiet = await newSession(ledger);
      const sent = await newSession(ledger);
      await ledger.emitEvent(sent, userMessage("go"));
      const held = await newSession(ledger);
      await ledger.acquireLease(held, holder("lhh_A"), 30_000, "user");
      const done = await newSession(ledger);
      await ledger.emitEvents(done, [{ type: "session.status_running" }, idle()]);
      const retrying = await newSession(ledger);
      const input = await ledger.emitEvent(retrying, userMessage("go"));
      await ledger.emitEvents(retrying, [
        { type: "longhaul.inputs_consumed", event_ids: [input.event.id] },
        {
          type: "longhaul.retry_scheduled",
          attempt: 1,
          at: "2999-01-01T00:00:00.000Z",
          error_type: "x",
          waits_for_network: false,
        },
      ]);
      const found = (await ledger.unfinishedSessions()).map(({ id }) => id);
      expect(found.toSorted()).toEqual([sent, held, retrying].toSorted());
      expect(found).not.toContain(quiet);
    });

    test("search finds messages, tool inputs, results and errors of all sessions, by words and beginnings", async () => {
      const ledger = await open();
      const a = await newSession(ledger);
      const b = await newSession(ledger);
      await ledger.emitEvents(a, [
        userMessage("Please fix the flaky scheduler test"),
        { type: "agent.tool_use", name: "bash", input: { command: "npm run unusual-script" } },
        {
          type: "agent.tool_result",
          tool_use_id: "sevt_1",
          content: [{ type: "text", text: "TypeError in reporter.ts" }],
        },
      ]);
      await ledger.emitEvents(b, [
        {
          type: "session.error",
          error: { type: "unknown_error", message: "the endpoint vanished", retry_status: { type: "retrying" } },
        },
        agentMessage("修正しました scheduler"),
        agentMessage("x".repeat(5_000)),
      ]);
      const hits = async (text: string): Promise<string[]> =>
        (await ledger.search(text, 10))
          .map(({ session_id, seq }) => `${session_id === a ? "a" : "b"}${seq}`)
          .toSorted();
      expect(await hits("flaky")).toEqual(["a2"]);
      expect(await hits("SCHEDULER")).toEqual(["a2", "b3"]);
      expect(await hits("sched")).toEqual(["a2", "b3"]);
      expect(await hits("unusual-script")).toEqual(["a3"]);
      expect(await hits("TypeError")).toEqual(["a4"]);
      expect(await hits("vanished endpoint")).toEqual(["b2"]);
      expect(await hits("修正")).toEqual(["b3"]);
      expect(await hits("flaky endpoint")).toEqual([]);
      for (const hostile of ['"', "flaky OR x*", "NEAR(", "text:flaky", "--", "'; DROP TABLE events", " ", "("]) {
        await expect(ledger.search(hostile, 10)).resolves.toBeDefined();
      }
      expect(await ledger.search("scheduler", 1)).toHaveLength(1);
      expect((await ledger.search("flaky", 1))[0]?.snippet).toContain("flaky scheduler");
    });

    test("L12 a deleted session is gone, and only that one", async () => {
      const ledger = await open();
      const [gone, kept] = [await newSession(ledger), await newSession(ledger)];
      for (const id of [gone, kept]) await ledger.emitEvents(id, [userMessage("findable"), agentMessage("answer")]);
      expect(await ledger.search("findable", 9)).toHaveLength(2);
      await ledger.deleteSession(gone);
      expect(await ledger.getSession(gone)).toBeNull();
      expect(await read(ledger, gone)).toEqual([]);
      expect((await ledger.listSessions({ limit: 9 })).map(({ id }) => id)).toEqual([kept]);
      expect((await ledger.search("findable", 9)).map(({ session_id }) => session_id)).toEqual([kept]);
      await expect(ledger.emitEvent(gone, agentMessage("x"))).rejects.toThrow(/no session/);
      expect((await read(ledger, kept)).map(label)).toEqual(["longhaul.session_created", "findable", "answer"]);
      await ledger.createSession(gone, [sessionCreated()]);
      expect(await ledger.getSession(gone)).toMatchObject({ last_seq: 1 });
    });

    test("L9 a whole chain verifies", async () => {
      const ledger = await open();
      const id = await newSession(ledger);
      await ledger.emitEvents(
        id,
        Array.from({ length: 450 }, (_, index) => agentMessage(`é${index}`)),
      );
      expect(await ledger.verify(id)).toEqual({ events: 451, broken_at: null, reason: null });
    });
  });
}
