import { Bash, InMemoryFs } from "just-bash";
import { describe, expect, test } from "vitest";
import { INTRODUCTION } from "./identity.ts";
import { PROGRAM, RUN, TASKS, TEST } from "./tasks.ts";
import { CUT_OFF, type Disturbance, type Outcome, Session } from "./testing/harness_stand_in.ts";

const [parser, formatter] = TASKS as [(typeof TASKS)[number], (typeof TASKS)[number]];
const COMPACTION =
  "The context is nearly full. Write a summary that lets you go on with this task without the conversation above.";

const finalFiles = { [PROGRAM]: parser.after, [TEST]: parser.test };

/** The first task with a disturbance, from the first message to its end. */
async function played(disturb: Disturbance, messages = 1): Promise<Session> {
  const session = new Session({ disturb });
  for (let i = 0; i < messages; i++) await session.say("Build me something.");
  return session;
}

const cutOff =
  (tookEffect: boolean) =>
  async (run: () => Promise<Outcome>): Promise<Outcome> => {
    if (tookEffect) await run();
    return { text: CUT_OFF, is_error: true };
  };

test("undisturbed: two writes at once, a failing test, a fix, a passing test, a report", async () => {
  const session = await played((_i, _call, run) => run());
  expect(session.calls.map((call) => call.name)).toEqual(["write", "write", "bash", "edit", "bash"]);
  expect(session.texts[0]).toContain(INTRODUCTION);
  expect(session.texts.filter((text) => text.includes(INTRODUCTION))).toHaveLength(1);
  expect(session.texts[2]).toContain("parse_duration('2m') gives 2, expected 120");
  expect(session.texts.at(-1)).toBe(parser.report);
  expect(Object.fromEntries(session.files)).toEqual(finalFiles);
});

test("its files really do what it says, in the embedded Python", async () => {
  const runs: Outcome[] = [];
  const session = new Session({
    runTest: async (files) => {
      const fs = new InMemoryFs(
        Object.fromEntries([...files].map(([path, content]) => [`/workspace/${path}`, content])),
      );
      const result = await new Bash({ fs, cwd: "/workspace", python: true }).exec(RUN);
      const outcome = { text: (result.stdout + result.stderr).trimEnd(), is_error: result.exitCode !== 0 };
      runs.push(outcome);
      return outcome;
    },
  });
  expect(await session.say("go")).toBe(parser.report);
  expect(await session.say("more")).toBe(formatter.report);
  expect(runs.map((run) => run.is_error)).toEqual([true, false, true, false]);
  expect(runs[0]?.text).toContain("FAIL parse_duration('2m') gives 2, expected 120");
  expect(runs[1]?.text).toMatch(/8 checks passed$/);
  expect(runs[2]?.text).toContain("ImportError");
  expect(runs[3]?.text).toMatch(/13 checks passed$/);
}, 30_000);

describe("whatever is cut off, the files and the final message are the same", () => {
  const single = [0, 1, 2, 3, 4].flatMap((at) => [true, false].map((done) => [at, done] as const));
  test.each(single)("call %i cut off, took effect: %s", async (at, done) => {
    const session = await played((i, _call, run) => (i === at ? cutOff(done)(run) : run()));
    expect(session.texts.at(-1)).toBe(parser.report);
    expect(Object.fromEntries(session.files)).toEqual(finalFiles);
    expect(session.calls.some((call, i) => i > at && (call.name === "read" || call.input.command === RUN))).toBe(true);
  });

  test("any two cuts, also of what the recovery itself does, in both tasks", async () => {
    for (let first = 0; first < 12; first++) {
      for (let second = first + 1; second < 14; second++) {
        for (const done of [true, false]) {
          const session = await played((i, _call, run) => (i === first || i === second ? cutOff(done)(run) : run()), 2);
          expect([first, second, done, session.texts.at(-1)]).toEqual([first, second, done, formatter.report]);
          expect(session.files.get(PROGRAM)).toBe(formatter.after);
          expect(session.files.get(TEST)).toBe(formatter.test);
        }
      }
    }
  });

  test.each([0, 1, 2, 3, 4])("the sandbox dies with all its files at call %i", async (at) => {
    const session = await played(async (i, _call, run, files) => {
      if (i !== at) return run();
      files.clear();
      return {
        text: "The sandbox is gone. Try again: a new one is made, without the files of the old one.",
        is_error: true,
      };
    });
    expect(session.texts.at(-1)).toBe(parser.report);
    expect(Object.fromEntries(session.files)).toEqual(finalFiles);
  });

  test.each([1, 2, 3, 4])("the history is replaced by the demo's own summary before request %i", async (at) => {
    const session = new Session({});
    let requests = 0;
    const final = await session.say("Build me a rocket.", (current) => {
      if (requests++ !== at) return;
      const summary = current.ask(COMPACTION).text;
      expect(summary).toContain("The user asked: Build me a rocket.");
      current.messages = [
        { role: "user", content: [{ type: "text", text: `<summary>\n${summary}\n</summary>\n\nGo on.` }] },
      ];
    });
    expect(final).toBe(parser.report);
    expect(Object.fromEntries(session.files)).toEqual(finalFiles);
  });
});

describe("further messages", () => {
  test("the second one adds a function, test first; the third explains; none goes on for ever", async () => {
    const session = await played((_i, _call, run) => run());
    const before = session.calls.length;
    expect(await session.say("Now add format.")).toBe(formatter.report);
    expect(session.calls.slice(before).map((call) => call.name)).toEqual(["write", "bash", "edit", "bash"]);
    expect(await session.say("And now?")).toContain("have played both of my parts");
    expect(await session.say("Again!")).toContain("have played both of my parts");
  });

  test("a summary after both tasks keeps them finished", async () => {
    const session = await played((_i, _call, run) => run(), 2);
    session.messages.push({ role: "user", content: [{ type: "text", text: "Thanks." }] });
    const summary = session.ask(COMPACTION).text;
    session.messages = [];
    expect(await session.say(`<summary>${summary}</summary>`)).toContain("have played both of my parts");
  });

  test("a first message that speaks of a summary is still the demo's task", async () => {
    const session = new Session({});
    await session.say("Write a summary of this session's task list.");
    expect(session.texts[0]).toContain(INTRODUCTION);
    expect(session.texts.at(-1)).toBe(parser.report);
  });
});

describe("it stops, with a reason, when it cannot go on", () => {
  test("a rejected call ends the turn; the next message tries again", async () => {
    let reject = true;
    const session = new Session({
      disturb: async (_i, call, run) =>
        call.name === "bash" && reject
          ? { text: "The user rejected this call of bash; it did not run.", is_error: true }
          : run(),
    });
    expect(await session.say("go")).toContain("not allowed");
    reject = false;
    expect(await session.say("ok, you may")).toBe(parser.report);
  });

  test("missing tools", async () => {
    const session = new Session({ tools: ["read", "grep"] });
    const text = await session.say("go");
    expect(text).toContain("I was not given: bash, write, edit");
    expect(text).toContain(INTRODUCTION);
  });

  test("without the read tool it looks with cat", async () => {
    const session = new Session({
      tools: ["bash", "write", "edit"],
      disturb: (i, _c, run) => (i === 0 ? cutOff(true)(run) : run()),
    });
    expect(await session.say("go")).toBe(parser.report);
    expect(session.calls.map((call) => call.input.command)).toContain(`cat ${PROGRAM}`);
  });

  test("no Python", async () => {
    const session = new Session({
      runTest: async () => ({ text: "bash: python3: command not found", is_error: true }),
    });
    expect(await session.say("go")).toContain("no `python3` in this sandbox");
  });

  test("a sandbox that always fails", async () => {
    const session = new Session({ disturb: async () => ({ text: "disk full", is_error: true }) });
    const text = await session.say("go");
    expect(text).toContain("disk full");
    expect(session.calls.length).toBeLessThan(12);
  });

  test("a test that prints something else", async () => {
    const session = new Session({ runTest: async () => ({ text: "Killed", is_error: true }) });
    expect(await session.say("go")).toContain("Killed");
  });

  test("a session that another model led is left alone", async () => {
    const session = new Session({});
    session.messages = [
      { role: "user", content: [{ type: "text", text: "fix my bug" }] },
      { role: "assistant", content: [{ type: "text", text: "Sure, looking." }] },
    ];
    expect(await session.say("go on")).toContain("led by another model");
    expect(session.calls).toEqual([]);
  });
});

test("ids are the same for the same request and unique in a session", async () => {
  const session = await played((_i, _call, run) => run(), 2);
  const ids = session.calls.map((call) => call.id);
  expect(new Set(ids).size).toBe(ids.length);
  const again = await played((_i, _call, run) => run(), 2);
  expect(again.calls.map((call) => call.id)).toEqual(ids);
});
