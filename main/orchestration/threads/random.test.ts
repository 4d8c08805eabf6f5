/** Random sessions of several threads, with engine deaths at random appends: whatever happens, these things hold. */
import { expect, test } from "vitest";
import type { StoredEvent } from "../../contract/events.ts";
import { foldEvent, type SessionFold } from "../../contract/fold.ts";
import { answeredCall } from "../../contract/fold_calls.ts";
import { unfinishedWork } from "../../contract/work.ts";
import { rebuildRequest } from "../../harness/context/rebuild.ts";
import { of } from "../testing/rig.ts";
import { type Ended, runRandomSession } from "./testing/random_session.ts";

/** Set LONGHAUL_SEED to run the sessions of one failure again. */
const SEED = Number(process.env["LONGHAUL_SEED"] ?? Math.floor(Math.random() * 1e9));
const SESSIONS = Number(process.env["LONGHAUL_SESSIONS"] ?? 16);

test(`sessions with deaths at any append come to an end in which nothing is lost or done twice (seed ${SEED})`, {
  timeout: 60_000,
}, async () => {
  const seeds = Array.from({ length: SESSIONS }, (_, index) => SEED + index);
  const runs = await Promise.allSettled(seeds.map((seed) => oneSession(seed)));
  const failures = runs.flatMap((run, index) =>
    run.status === "rejected" ? [`seed ${seeds[index]}: ${String(run.reason?.message ?? run.reason)}`] : [],
  );
  expect(failures.join("\n\n")).toBe("");
});

async function oneSession(seed: number): Promise<void> {
  const ended = await runRandomSession(seed);
  try {
    await check(ended);
  } finally {
    await ended.rig.close();
  }
}

async function check({ rig, id }: Ended): Promise<void> {
  const events = await rig.events(id);
  expect(rig.errors).toEqual([]);
  expect(rig.server.requests.flatMap(({ rejected }) => (rejected === null ? [] : [rejected]))).toEqual([]);
  checkEnd((await rig.ledger.getSession(id))?.fold);
  checkCalls(events);
  expect(new Set(rig.sandbox.executions).size, "work done twice").toBe(rig.sandbox.executions.length);
  checkStatuses(events);
  expect(events.length, "it spins").toBeLessThan(4_000);
  const sources = { ledger: rig.ledger, catalog: rig.ports.catalog, blobs: rig.ports.blobs };
  for (const sent of of(events, "longhaul.model_request").slice(-8)) {
    expect(await rebuildRequest(sources, id, sent.model_request_start_id)).toMatchObject({ matches: true });
  }
}

function checkEnd(fold: SessionFold | undefined): void {
  expect(fold).toMatchObject({
    phase: "idle",
    inputs: [],
    calls: [],
    model_request: null,
    primary: fold?.primary && { phase: "idle" },
  });
  for (const thread of fold?.threads ?? []) {
    expect(["idle", "terminated"], `${thread.name} ${thread.id}`).toContain(thread.phase);
    if (thread.archived_at === null) expect(thread).toMatchObject({ inputs: [], calls: [], model_request: null });
  }
}

/** Every call has exactly one result; those of threads that were archived in the middle of one have one at most. */
function checkCalls(events: StoredEvent[]): void {
  const uses = [...of(events, "agent.tool_use"), ...of(events, "agent.custom_tool_use")].map(({ id }) => id);
  const results = [...of(events, "agent.tool_result"), ...of(events, "user.custom_tool_result")].map(answeredCall);
  expect(new Set(results).size, "a call was answered twice").toBe(results.length);
  const answered = new Set(results);
  const open = uses.filter((id) => !answered.has(id));
  const archived = of(events, "session.thread_status_terminated").map(({ session_thread_id }) => session_thread_id);
  const left = events.filter(({ event, thread_id }) => open.includes(event.id) && !archived.includes(thread_id));
  expect(left).toEqual([]);
}

/** A session that is said to rest does so, and the last thing that is said is that. */
function checkStatuses(events: StoredEvent[]): void {
  let fold: SessionFold | null = null;
  for (const [index, stored] of events.entries()) {
    fold = foldEvent(fold, stored);
    if (stored.event.type !== "session.status_idle" || fold === null) continue;
    expect(events[index - 1]?.event.type, `before seq ${stored.seq}`).toBe("session.usage");
    const busy = [fold.primary ?? fold, ...fold.threads].filter(
      ({ phase }) => phase === "running" || phase === "rescheduling",
    );
    expect(busy, `idle at seq ${stored.seq} while a thread runs`).toEqual([]);
    // An interrupted turn of the only thread rests before the next message's turn begins.
    if (fold.primary !== null)
      expect(unfinishedWork(fold, 0), `idle at seq ${stored.seq} before more work`).not.toBe("now");
  }
}
