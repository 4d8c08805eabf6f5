import { expect, test } from "vitest";
import { idleTime, runsForAgent } from "./reap.ts";

const INIT = ["100", "50", "/sbin/docker-init -- /bin/sh /opt/longhaul/main.sh"];
const RUNNER = ["107", "100", "/bin/sh /opt/longhaul/main.sh"];
const WATCH = ["108", "107", "sh /opt/longhaul/watch.sh journal"];
const SHELL_TEXT =
  "bash -c while :; do IFS= builtin read -r __lh_id < /var/lib/longhaul/req || builtin exit 0; done bash";
const SHELL = ["109", "107", SHELL_TEXT];
const CHANNEL = ["120", "60", "bash --norc --noprofile /opt/longhaul/relay.sh"];
const RELAY = ["130", "61", "python3 -I -S -c import sys; exec()"];

function table(...Processes: string[][]): { Titles: string[]; Processes: string[][] } {
  return { Titles: ["PID", "PPID", "COMMAND"], Processes };
}

test("init, runner, its shell and what came in from outside are ours", () => {
  const asleep = ["140", "108", "sleep 7"];
  const reader = ["141", "120", "cat"];
  expect(runsForAgent(table(INIT, RUNNER, WATCH, SHELL, CHANNEL, RELAY, asleep, reader))).toBe(false);
  expect(runsForAgent(table(INIT, RUNNER))).toBe(false);
  expect(runsForAgent(table())).toBe(false);
});

test.each([
  ["a command below the shell", ["150", "109", "sleep 1000"]],
  ["a job that the init has inherited", ["150", "100", "node server.js"]],
  ["a copy of the shell below the shell", ["150", "109", SHELL_TEXT]],
  ["a copy of the shell that the init has inherited", ["150", "100", SHELL_TEXT]],
  ["somebody's docker exec", ["150", "62", "/bin/bash"]],
  ["its own parent", ["150", "150", "odd"]],
])("%s is not", (_, process) => {
  expect(runsForAgent(table(INIT, RUNNER, WATCH, SHELL, CHANNEL, process))).toBe(true);
});

test("a table that cannot be read is taken to show something", () => {
  expect(runsForAgent({ Titles: ["USER", "TIME"], Processes: [] })).toBe(true);
});

test("the setting: twelve hours, what is said, or never", () => {
  expect([undefined, "", "2", "0.5", "0"].map(idleTime)).toEqual([43_200_000, 43_200_000, 7_200_000, 1_800_000, null]);
  for (const wrong of ["soon", "-1", "1e9", "NaN"])
    expect(() => idleTime(wrong)).toThrow(/LONGHAUL_SANDBOX_IDLE_HOURS=.*hours/);
});
