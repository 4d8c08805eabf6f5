/** What the fake engine does when a session is woken: small plays in real time. */
import type { FakeSession, Step } from "./fake_session.ts";
import { provisionLive } from "./sandbox_stories.ts";

const SOURCE = `def add(a, b):\n    return a - b\n`;

/** The turn of a new message: looks, runs, fails, fixes, reports. */
export async function codingTurn(step: Step): Promise<void> {
  const { log } = step;
  const [write = ""] = await step.say("I'll write the program and a test that shows what it should do.", [
    { name: "write", input: { file_path: "/workspace/calc.py", content: SOURCE }, ...asks(step.session) },
  ]);
  if (await waits(step, [write])) return;
  await finishTurn(step, write);
  void log;
}

function asks(session: FakeSession): { ask?: boolean } {
  return session.fold?.agent.name.includes("asks first") === true ? { ask: true } : {};
}

async function waits(step: Step, calls: string[]): Promise<boolean> {
  if (!asks(step.session).ask) return false;
  await step.pause(5);
  step.log.asks(calls);
  return true;
}

/** The rest of the turn once the first call may run. */
export async function finishTurn(step: Step, write: string): Promise<void> {
  const { log } = step;
  const asked = step.session.fold?.environment.metadata?.["longhaul.sandbox"];
  if (step.session.fold?.sandbox === null && asked === "docker") await provisionLive(step);
  else if (step.session.fold?.sandbox === null) {
    log.add({ type: "longhaul.sandbox_provisioning", provider: "embedded", cause: "first_tool_call" });
    await step.pause(120);
    log.add({ type: "longhaul.sandbox_step", step: "Make the folder", duration_ms: 12, error: null });
    log.add({ type: "longhaul.sandbox_ready", provider: "embedded", duration_ms: 120, adopted: false });
  }
  await step.execute(write, [`wrote ${SOURCE.length} bytes to /workspace/calc.py`], 60);
  const [bash = ""] = await step.say("Now the test.", [
    { name: "bash", input: { command: "python3 -m unittest -v test_calc.py" } },
  ]);
  const failure = [
    "test_add (test_calc.Test) ... FAIL",
    "",
    "AssertionError: -1 != 3",
    "",
    "Ran 1 test in 0.001s",
    "exit 1",
  ];
  await step.execute(bash, failure, 250, true);
  const [edit = ""] = await step.say("`add` subtracts. One sign fixes it.", [
    { name: "edit", input: { file_path: "/workspace/calc.py", old_string: "a - b", new_string: "a + b" } },
  ]);
  await step.execute(edit, ["edited /workspace/calc.py (1 replacement)"], 40);
  const [again = ""] = await step.say("", [
    { name: "bash", input: { command: "python3 -m unittest -v test_calc.py" } },
  ]);
  await step.execute(again, ["test_add (test_calc.Test) ... ok", "", "Ran 1 test in 0.001s", "", "OK"], 250);
  await step.say(
    "Done. `add` had a minus where a plus belongs; the test failed before the change and passes after it.",
  );
  log.idle();
}

/** A turn that goes on until it is stopped: for looking at what runs. */
export async function endlessTurn(step: Step): Promise<void> {
  for (let round = 1; ; round++) {
    const [bash = ""] = await step.say(
      `Round ${round}: I'll run the whole suite again and look for anything that is slow. The three tests that took longest last time are in \`src/orchestration\`, so I begin there and compare their times with those of the round before.`,
      [{ name: "bash", input: { command: `npm test -- orchestration --reporter=verbose # round ${round}` } }],
      60,
    );
    const lines = Array.from(
      { length: 40 },
      (_value, line) =>
        `\u001b[32m✓\u001b[0m src/orchestration/wake.test.ts > case ${line + 1} \u001b[2m${12 + line} ms\u001b[0m`,
    );
    await step.execute(bash, lines, 400);
  }
}
