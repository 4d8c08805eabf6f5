/** What the harness does around mounted memory stores: filled at provisioning, saved before a session is told to be at rest. */

import { afterEach, beforeEach, expect, test } from "vitest";
import { call, type ScriptTurn, say } from "../../e2e/model_server/script.ts";
import type { EventDraft } from "../contract/events.ts";
import { SessionView } from "../harness/session_view.ts";
import { step } from "../harness/step.ts";
import { EmbeddedMemoryFiles } from "../sandbox/embedded/memory/memory_files.ts";
import { MemoryKeeper } from "../sandbox/memory/keeper.ts";
import { FolderBench } from "../sandbox/memory/testing/folder_bench.ts";
import type { Ledger } from "../session/ledger.ts";
import { message, of, type Rig, startRig } from "./testing/rig.ts";

let rig: Rig;
let bench: FolderBench;
beforeEach(async () => {
  bench = await FolderBench.make();
});
afterEach(async () => {
  await rig.close();
  await bench[Symbol.asyncDispose]();
});

/** No look in mid-turn: only the rest saves. */
const LATE = 3_600_000;

async function start(...script: ScriptTurn[]): Promise<string> {
  const store = await bench.store({ "/plan.md": "plan" });
  const memory = (ledger: Ledger): MemoryKeeper => {
    const tell = (id: string, event: EventDraft) => void ledger.emitEvent(id, event);
    return new MemoryKeeper({ source: bench.source, tell, interval_ms: LATE });
  };
  rig = await startRig(script, {}, { memory });
  Object.assign(rig.sandbox, { memoryFiles: () => new EmbeddedMemoryFiles(bench.layout) });
  return store;
}

async function untilIdle(id: string): Promise<void> {
  await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase, { timeout: 8_000 }).toBe("idle");
  await rig.orchestrator.settled(id);
}

const bash = () => call({ name: "bash", input: { command: "write" } });

test("the store is mounted before the first call runs, and what it left is saved before the idle status", async () => {
  const store = await start(bash(), say("Done."));
  rig.sandbox.behaviour = async () => {
    bench.put("/new.md", `after ${bench.has("/plan.md")}`);
    return "ok";
  };
  const id = await rig.create("Go.", {}, [bench.resource(store, { instructions: "Read the plan." })]);
  await untilIdle(id);
  expect(await bench.contents(store)).toEqual({ "/plan.md": "plan", "/new.md": "after plan" });
  const events = await rig.events(id);
  expect(of(events, "longhaul.sandbox_step").map(({ step }) => step)).toEqual([
    'mount memory store "notes" at /mnt/memory/notes',
  ]);
  const synced = of(events, "longhaul.memory_synced");
  expect(synced).toMatchObject([
    { updated: 1, written: 0 },
    { updated: 0, written: 1, memory_store_id: store },
  ]);
  const types = events.map(({ event }) => event.type);
  expect(types.lastIndexOf("longhaul.memory_synced")).toBeLessThan(types.indexOf("session.status_idle"));
  for (const { body } of rig.server.requests) {
    expect(JSON.stringify(body?.system)).toContain("is at /mnt/memory/notes (you may write to it)");
    expect(JSON.stringify(body?.system)).toContain("Read the plan.");
  }
});

test("an interrupted turn is saved too, before it is told to be over", async () => {
  const store = await start(bash(), say("Done."));
  rig.sandbox.behaviour = () => {
    bench.put("/half.md", "half");
    return new Promise(() => undefined);
  };
  const id = await rig.create("Go.", {}, [bench.resource(store)]);
  await expect.poll(() => bench.has("/half.md")).toBe("half");
  await rig.send(id, { type: "user.interrupt" });
  await untilIdle(id);
  expect(await bench.contents(store)).toEqual({ "/plan.md": "plan", "/half.md": "half" });
});

test("after the engine's death the next one saves what was left, although no further call is made", async () => {
  const store = await start(bash(), say("Done."));
  rig.sandbox.behaviour = async () => {
    bench.put("/unsaved.md", "unsaved");
    return "ok";
  };
  const id = await rig.create(undefined, {}, [bench.resource(store)]);
  await rig.send(id, message("Go."));
  // As a process that dies when the turn is over and nobody has been told: its lease stays unreleased.
  const lease = await rig.ledger.acquireLease(
    id,
    { id: "lhh_dead", boot_id: "earlier", pid: 7, pid_started_at: 7 },
    30_000,
    "client_event",
  );
  const view = await SessionView.open(rig.ledger, id);
  const signal = new AbortController().signal;
  for (let i = 0; i < 2 && lease !== null; i += 1) {
    await step(view.primary, rig.ports, (events) => view.emit(events, lease), { interrupt: signal, shutdown: signal });
  }
  view.close();
  expect([bench.has("/unsaved.md"), await bench.contents(store)]).toEqual(["unsaved", { "/plan.md": "plan" }]);
  await rig.restart().recover(true);
  await expect.poll(async () => (await rig.ledger.getSession(id))?.fold.phase, { timeout: 8_000 }).toBe("idle");
  expect(rig.sandbox.executions).toHaveLength(1);
  expect(await bench.contents(store)).toEqual({ "/plan.md": "plan", "/unsaved.md": "unsaved" });
});
