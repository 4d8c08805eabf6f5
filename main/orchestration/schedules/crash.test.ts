import { afterEach, describe, expect, test, vi } from "vitest";
import { LedgerWriteError } from "../../session/ledger.ts";
import { ScheduleRig } from "./testing/rig.ts";

const rigs: ScheduleRig[] = [];
function start(at: string): ScheduleRig {
  const rig = new ScheduleRig(at);
  rigs.push(rig);
  return rig;
}
afterEach(async () => {
  for (const rig of rigs.splice(0)) await rig.scheduler.stop();
});

describe("killed in the middle of a run", () => {
  const never = (): Promise<never> => Promise.withResolvers<never>().promise;

  /** A deployment whose engine was killed while it ran the 12:00 time; `made`: its session had been stored. */
  async function killed(made: boolean): Promise<{ rig: ScheduleRig; id: string }> {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("0 12 * * *");
    rig.launch = async (deployment, sessionId) => {
      if (made) await rig.makeSession(deployment, sessionId);
      return never();
    };
    rig.now = Date.parse("2026-07-01T12:00:00Z");
    void rig.scheduler.check();
    await vi.waitFor(async () => {
      expect(await rig.history(id)).toHaveLength(1);
      expect(rig.sessions.size).toBe(made ? 1 : 0);
    });
    rig.launch = null;
    return { rig, id };
  }

  /** The killed engine never lets go: only what is stored counts. */
  async function restart(rig: ScheduleRig, at: string): Promise<void> {
    rig.now = Date.parse(at);
    await rig.engine().start();
    await rig.scheduler.check();
    await rig.scheduler.stop();
  }

  test("after the session was stored: the run is linked to it, however late", async () => {
    const { rig, id } = await killed(true);
    await restart(rig, "2026-07-01T18:00:00Z");
    const [run] = await rig.history(id);
    expect([run?.session_id, run?.error]).toEqual([[...rig.sessions.keys()][0], null]);
    expect(await rig.records.count("deployment_run_open")).toBe(0);
    expect((await rig.deployment(id)).last_run_at).toBe("2026-07-01T12:00:00.000Z");
    expect(rig.sessions.size).toBe(1);
  });

  test("before: a quick restart makes it, once", async () => {
    const { rig, id } = await killed(false);
    await restart(rig, "2026-07-01T12:00:20Z");
    await restart(rig, "2026-07-01T12:00:40Z");
    expect(await rig.fired(id)).toEqual(["2026-07-01T12:00"]);
    expect(rig.sessions.size).toBe(1);
  });

  test("before, and the restart comes late or the deployment was paused: it did not run, and the record says so", async () => {
    for (const paused of [false, true]) {
      const { rig, id } = await killed(false);
      if (paused) await rig.change(id, { paused_reason: { type: "manual" } });
      await restart(rig, paused ? "2026-07-01T12:00:20Z" : "2026-07-01T12:05:00Z");
      const history = await rig.history(id);
      expect(history).toHaveLength(1);
      expect(history[0]?.error).toMatchObject({ type: "unknown_error" });
      expect(history[0]?.error?.message).toMatch(/stopped while it began this run.*did not run/);
      expect(rig.sessions.size).toBe(0);
    }
  });

  test("a run by hand is linked or told as not run, never made later", async () => {
    for (const made of [true, false]) {
      const rig = start("2026-07-01T12:00:00Z");
      const id = await rig.deploy("0 0 1 1 *", "UTC", { paused_reason: { type: "manual" } });
      rig.launch = async (deployment, sessionId) => {
        if (made) await rig.makeSession(deployment, sessionId);
        return never();
      };
      void rig.scheduler.run(await rig.deployment(id));
      await vi.waitFor(async () => {
        expect(await rig.history(id)).toHaveLength(1);
        expect(rig.sessions.size).toBe(made ? 1 : 0);
      });
      rig.launch = null;
      await restart(rig, "2026-07-01T12:00:01Z");
      const [run] = await rig.history(id);
      expect(run?.session_id ?? null).toBe(made ? [...rig.sessions.keys()][0] : null);
      expect(run?.error?.message ?? "").toMatch(made ? /^$/ : /Run the deployment again/);
      expect((await rig.deployment(id)).last_run_at).toBeNull();
    }
  });

  test("a run that is being made is left alone by looks at the clock", async () => {
    const { rig, id } = await killed(false);
    await rig.scheduler.check();
    const [run] = await rig.history(id);
    expect([run?.session_id, run?.error]).toEqual([null, null]);
    rigs.splice(0);
  });
});

describe("a disk that cannot be written", () => {
  test("at the claim: nothing ran, and it runs as soon as it can within the minute", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("0 12 * * *");
    await rig.scheduler.check();
    const write = rig.records.write.bind(rig.records);
    rig.records.write = async () => {
      throw new LedgerWriteError("full");
    };
    await rig.jumpTo("2026-07-01T12:00:00Z");
    expect(rig.errors).toHaveLength(1);
    expect(rig.sessions.size).toBe(0);
    await rig.runUntil("2026-07-01T12:00:04Z", 1_000);
    expect(rig.errors).toHaveLength(1);
    rig.records.write = write;
    await rig.runUntil("2026-07-01T12:00:10Z", 1_000);
    expect(await rig.fired(id)).toEqual(["2026-07-01T12:00"]);
  });

  test("at the outcome: the session that was made is linked later, and not made again", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("0 12 * * *");
    await rig.scheduler.check();
    const write = rig.records.write.bind(rig.records);
    rig.launch = async (deployment, sessionId) => {
      rig.records.write = async () => {
        throw new LedgerWriteError("full");
      };
      return rig.makeSession(deployment, sessionId);
    };
    await rig.jumpTo("2026-07-01T12:00:00Z");
    rig.records.write = write;
    rig.launch = null;
    await rig.runUntil("2026-07-01T12:01:00Z");
    expect(await rig.fired(id)).toEqual(["2026-07-01T12:00"]);
    expect(rig.sessions.size).toBe(1);
  });
});

describe("deployments that change while they fire", () => {
  test("paused between the look and the claim: it does not run", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("* * * * *");
    await rig.scheduler.check();
    const write = rig.records.write.bind(rig.records);
    rig.records.write = async (writes) => {
      rig.records.write = write;
      await rig.change(id, { paused_reason: { type: "manual" } });
      return write(writes);
    };
    await rig.jumpTo("2026-07-01T12:00:00Z");
    expect(await rig.history(id)).toEqual([]);
  });

  test("paused or archived while its session is made: the run is written down, and stays as the person set it", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("* * * * *");
    rig.launch = async (deployment, sessionId) => {
      await rig.change(id, { archived_at: "2026-07-01T12:00:00.000Z" });
      return rig.makeSession(deployment, sessionId);
    };
    await rig.jumpTo("2026-07-01T12:00:00Z");
    await rig.runUntil("2026-07-01T12:03:00Z");
    expect(await rig.fired(id)).toEqual(["2026-07-01T12:00"]);
    const { archived_at, last_run_at } = await rig.deployment(id);
    expect([archived_at, last_run_at]).toEqual(["2026-07-01T12:00:00.000Z", "2026-07-01T12:00:00.000Z"]);
  });

  test("an error that lasts pauses it; one of the session's own does not", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("* * * * *");
    const types = ["session_rate_limited_error", "unknown_error", "skill_not_found_error"] as const;
    rig.launch = async () => ({ error: { type: types[(await rig.history(id)).length - 1] ?? types[2], message: "m" } });
    await rig.runUntil("2026-07-01T12:10:00Z");
    expect((await rig.history(id)).map(({ error }) => error?.type)).toEqual(types);
    expect((await rig.deployment(id)).paused_reason).toEqual({
      type: "error",
      error: { type: "skill_not_found_error" },
    });
  });

  test("an engine start archives what runs an agent that was archived", async () => {
    const rig = start("2026-07-01T12:00:00Z");
    const id = await rig.deploy("* * * * *");
    const other = await rig.deploy("* * * * *", "UTC", { agent: { id: "agent_2", type: "agent", version: 1 } });
    rig.archivedAgents.add("agent_1");
    await rig.engine().start();
    await rig.runUntil("2026-07-01T12:01:00Z");
    expect((await rig.deployment(id)).archived_at).toBe("2026-07-01T12:00:00.000Z");
    expect(await rig.history(id)).toEqual([]);
    expect(await rig.fired(other)).toEqual(["2026-07-01T12:01"]);
  });
});
