import { afterEach, describe, expect, test, vi } from "vitest";
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

describe("while the engine runs", () => {
  test.each<[string, string, string, string, string[]]>([
    ["Europe/Berlin", "30 2 * * *", "2026-03-28T00:00:00Z", "2026-03-30T12:00:00Z", ["03-28T01:30", "03-30T00:30"]],
    [
      "Europe/Berlin",
      "30 2 * * *",
      "2026-10-24T12:00:00Z",
      "2026-10-26T12:00:00Z",
      ["10-25T00:30", "10-25T01:30", "10-26T01:30"],
    ],
    ["America/New_York", "30 1 1 11 *", "2026-11-01T00:00:00Z", "2026-11-01T12:00:00Z", ["11-01T05:30", "11-01T06:30"]],
    [
      "Australia/Lord_Howe",
      "45 1 * * *",
      "2026-04-04T12:00:00Z",
      "2026-04-04T20:00:00Z",
      ["04-04T14:45", "04-04T15:15"],
    ],
    ["Asia/Kolkata", "0 9 31 * *", "2026-05-30T00:00:00Z", "2026-06-02T00:00:00Z", ["05-31T03:30"]],
  ])("%s fires %s when its wall clock shows it", async (zone, expression, from, to, wanted) => {
    const rig = start(from);
    const id = await rig.deploy(expression, zone);
    await rig.runUntil(to, 60_000);
    expect(await rig.fired(id)).toEqual(wanted.map((time) => `2026-${time}`));
    expect((await rig.history(id)).length).toBe(wanted.length);
  });

  test("29 February, reached over years of days without it", async () => {
    const rig = start("2027-03-01T00:00:00Z");
    const id = await rig.deploy("0 0 29 2 *");
    await rig.runUntil("2028-02-28T23:59:00Z", 6 * 3_600_000);
    await rig.runUntil("2028-03-01T12:00:00Z", 60_000);
    expect(await rig.fired(id)).toEqual(["2028-02-29T00:00"]);
  });

  test("a look that comes a little late fires what was due, at the time it was due for", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("0 12 * * *");
    await rig.jumpTo("2026-07-01T12:00:40Z");
    expect(await rig.fired(id)).toEqual(["2026-07-01T12:00"]);
    expect((await rig.deployment(id)).last_run_at).toBe("2026-07-01T12:00:40.000Z");
  });

  test("a session that is slow to be made holds up neither other deployments nor the clock", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const slow = await rig.deploy("* * * * *");
    const quick = await rig.deploy("* * * * *");
    const gate = Promise.withResolvers<void>();
    rig.launch = async (deployment, id) => {
      if (deployment.id === slow) await gate.promise;
      return rig.makeSession(deployment, id);
    };
    rig.now = Date.parse("2026-07-01T12:00:00Z");
    const first = rig.scheduler.check();
    await vi.waitFor(async () => expect(await rig.fired(quick)).toHaveLength(1));
    rig.now += 60_000;
    await rig.scheduler.check();
    expect(await rig.fired(quick)).toHaveLength(2);
    expect(await rig.fired(slow)).toEqual([]);
    gate.resolve();
    await first;
    expect(await rig.fired(slow)).toEqual(["2026-07-01T12:00", "2026-07-01T12:01"]);
  });

  test("the timer looks at least every quarter of a minute, however far the next time is", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const rig = start("2026-07-01T12:00:00Z");
      const id = await rig.deploy("0 0 1 1 *");
      await rig.scheduler.start();
      // The clock is moved by hand: far more time than a timer holds passes between two looks.
      rig.now = Date.parse("2026-12-31T23:59:59Z");
      await vi.advanceTimersByTimeAsync(15_000);
      rig.now = Date.parse("2027-01-01T00:00:01Z");
      await vi.advanceTimersByTimeAsync(1_000);
      expect(await rig.fired(id)).toEqual(["2027-01-01T00:00"]);
    } finally {
      vi.useRealTimers();
    }
  });

  test("after a stop nothing begins", async () => {
    const rig = start("2026-07-01T11:59:50Z");
    const id = await rig.deploy("* * * * *");
    await rig.scheduler.check();
    await rig.scheduler.stop();
    await rig.jumpTo("2026-07-01T12:00:00Z");
    expect(await rig.history(id)).toEqual([]);
  });
});

describe("what passed while nobody could run it", () => {
  test("a week with the lid closed is one record that says how much was missed, and no run", async () => {
    const rig = start("2026-07-01T12:00:30Z");
    const id = await rig.deploy("* * * * *");
    await rig.scheduler.check();
    await rig.jumpTo("2026-07-08T12:00:30Z");
    const [gap, run, ...more] = await rig.history(id);
    expect(more).toEqual([]);
    expect(gap).toMatchObject({
      session_id: null,
      error: { type: "unknown_error" },
      trigger_context: { type: "schedule", scheduled_at: "2026-07-01T12:01:00.000Z" },
    });
    expect(gap?.error?.message).toContain(
      "10079 scheduled runs from 2026-07-01T12:01:00.000Z to 2026-07-08T11:59:00.000Z were missed because this machine was asleep",
    );
    // The minute that began half a minute ago is run.
    expect(run?.trigger_context).toMatchObject({ scheduled_at: "2026-07-08T12:00:00.000Z" });
    expect(run?.session_id).not.toBeNull();
    expect((await rig.deployment(id)).paused_reason).toBeNull();
  });

  test("times that passed while Longhaul was closed", async () => {
    const rig = start("2026-07-01T12:00:00Z");
    const id = await rig.deploy("0 9 * * *", "Europe/Berlin");
    await rig.scheduler.stop();
    rig.now = Date.parse("2026-07-04T00:00:00Z");
    const next = rig.engine();
    await next.start();
    await next.check();
    const history = await rig.history(id);
    expect(history).toHaveLength(1);
    expect(history[0]?.error?.message).toMatch(
      /^2 scheduled runs from 2026-07-02T07:00:00.000Z to 2026-07-03T07:00:00.000Z were missed because Longhaul was not running\./,
    );
    await rig.runUntil("2026-07-04T08:00:00Z", 60_000);
    expect(await rig.fired(id)).toEqual(["2026-07-04T07:00"]);
  });

  test("one missed run is told in the singular; more than can be counted soon, as such", async () => {
    const rig = start("2026-07-01T12:00:00Z");
    const daily = await rig.deploy("0 0 * * *");
    const minutely = await rig.deploy("* * * * *");
    await rig.scheduler.check();
    await rig.jumpTo("2026-07-02T12:00:30Z");
    expect((await rig.history(daily))[0]?.error?.message).toMatch(/^The scheduled run of 2026-07-02T00:00:00.000Z was/);
    await rig.jumpTo("2036-07-02T12:00:30Z");
    const messages = (await rig.history(minutely)).map(({ error }) => error?.message ?? "");
    expect(
      messages.filter((message) => /^More than 20000 scheduled runs since 2026-07-02T12:01/.test(message)),
    ).toHaveLength(1);
    expect(messages).toHaveLength(4);
  });

  test("times that were not wanted are not missed: paused, without a schedule, archived", async () => {
    const rig = start("2026-07-01T12:00:00Z");
    const id = await rig.deploy("* * * * *", "UTC", { paused_reason: { type: "manual" } });
    const archived = await rig.deploy("* * * * *", "UTC", { archived_at: "2026-07-01T12:00:00.000Z" });
    const without = await rig.deploy("* * * * *", "UTC", { schedule: null });
    await rig.jumpTo("2026-07-01T14:00:00Z");
    await rig.change(id, { paused_reason: null, scheduled_through: new Date(rig.now).toISOString() });
    await rig.changed(id);
    await rig.jumpTo("2026-07-01T14:01:00Z");
    expect(await rig.fired(id)).toEqual(["2026-07-01T14:01"]);
    for (const silent of [archived, without]) expect(await rig.history(silent)).toEqual([]);
    expect(await rig.history(id)).toHaveLength(1);
  });
});

describe("clocks that are set", () => {
  test("back: what ran does not run again, and what comes next comes", async () => {
    const rig = start("2026-07-01T11:50:00Z");
    const id = await rig.deploy("*/5 * * * *");
    await rig.runUntil("2026-07-01T12:00:30Z");
    await rig.jumpTo("2026-07-01T11:30:00Z");
    await rig.runUntil("2026-07-01T12:10:00Z");
    const minutes = (await rig.fired(id)).map((time) => time.slice(11)).sort();
    expect(minutes).toEqual(["11:30", "11:35", "11:40", "11:45", "11:50", "11:55", "12:00", "12:05", "12:10"].slice(1));
    expect(new Set((await rig.history(id)).map(({ trigger_context }) => JSON.stringify(trigger_context))).size).toBe(8);
  });

  test("back, and then asleep: what ran is not called missed", async () => {
    const rig = start("2026-07-01T11:59:30Z");
    const id = await rig.deploy("* * * * *");
    await rig.runUntil("2026-07-01T12:05:30Z");
    await rig.jumpTo("2026-07-01T11:59:30Z");
    await rig.jumpTo("2026-07-01T13:00:30Z");
    const gaps = (await rig.history(id)).filter(({ error }) => error !== null);
    expect(gaps.map(({ error }) => error?.message)).toEqual([
      expect.stringMatching(/^54 scheduled runs from 2026-07-01T12:06:00.000Z to 2026-07-01T12:59:00.000Z/),
    ]);
  });

  test("years ahead by mistake and back: the schedule is not lost for years", async () => {
    const rig = start("2026-07-01T12:00:00Z");
    const id = await rig.deploy("0 * * * *");
    await rig.scheduler.check();
    await rig.jumpTo("2036-01-01T00:00:30Z");
    await rig.jumpTo("2026-07-01T12:30:00Z");
    await rig.runUntil("2026-07-01T14:00:00Z");
    // 13:00 stands in the history as the first of the missed ones: a time has one record.
    expect(await rig.fired(id)).toContain("2026-07-01T14:00");
  });

  test("back while Longhaul was closed", async () => {
    const rig = start("2026-07-01T11:59:00Z");
    const id = await rig.deploy("* * * * *");
    await rig.runUntil("2026-07-01T12:00:00Z");
    await rig.scheduler.stop();
    rig.now = Date.parse("2026-07-01T11:00:00Z");
    await rig.engine().start();
    await rig.runUntil("2026-07-01T11:02:00Z");
    expect(await rig.fired(id)).toEqual(["2026-07-01T12:00", "2026-07-01T11:01", "2026-07-01T11:02"].sort());
  });
});
