/** What the agent, the machine and the network may do to a container while calls run in it. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BUSYBOX_IMAGE, SANDBOX_IMAGE } from "../docker/testing/real_engine.ts";
import { CallInterrupted, OutcomeUnknown } from "../port.ts";
import { failureOf, newCallId, runTool, startCommand } from "../testing/bench.ts";
import { RunnerCalls } from "./calls.ts";
import { BareHand, bareBench } from "./testing/bare_provider.ts";
import { RunnerContainer } from "./testing/containers.ts";

type Made = Awaited<ReturnType<typeof bareBench>>;

/** Interrupts a command that has begun, and waits until it has ended. */
async function interrupted(made: Made, command: string): Promise<void> {
  const abort = new AbortController();
  const { begun, result } = startCommand(made.hand, command, { signal: abort.signal });
  await begun;
  abort.abort();
  await expect(result).rejects.toBeInstanceOf(CallInterrupted);
}

describe.each([
  ["with bash", SANDBOX_IMAGE],
  ["with busybox alone", BUSYBOX_IMAGE],
])("a runner %s", (_, image) => {
  let made: Made;
  beforeAll(async () => {
    made = await bareBench(image);
  });
  afterAll(() => made.end());

  test("commands see the shell that the one before left, whatever they do to it", async () => {
    await made.bash("cd /tmp; export A='x y\n z'; B=plain; IFS=:; set -fu; alias read=false; trap 'X=1' INT");
    expect(await made.bash('echo "$PWD $A $B"; read() { false; }')).toBe("/tmp x y\n z plain");
    expect(await made.bash("exec >/tmp/elsewhere; echo moved")).toBe("(no output)");
    expect(await made.bash("cat /tmp/elsewhere; echo back")).toBe("moved\nback");
    await made.bash("echo stray; continue").catch(() => undefined);
    await made.bash("echo stray; break").catch(() => undefined);
    expect(await made.bash('echo "still $B"')).toBe("still plain");
    expect(await failureOf(made.bash("nosuchthing"))).toMatch(
      /^(bash|sh):.* line 1: nosuchthing: (command )?not found$/,
    );
    await failureOf(made.bash("exit 0"));
    expect(await made.bash("echo $PWD [$A]")).toBe("/workspace []");
  });

  test("a command of any size and any bytes arrives whole", async () => {
    const text = `it's \\ "x" $HOME \`y\` % %s é 😀 \t|`;
    const long = text.repeat(3000);
    for (const sent of [text, long]) {
      const command = `cat > sent.txt <<'END'\n${sent}\nEND\nwc -c < sent.txt`;
      expect((await made.bash(command)).trim()).toBe(String(Buffer.byteLength(sent) + 1));
      const read = await runTool(made.hand, "read", { file_path: "sent.txt", view_range: [1, 1] }).catch(() => "");
      expect(read.startsWith(sent.slice(0, 90_000))).toBe(true);
    }
  });

  test("an interrupt ends all that the call started, also what went into a session of its own, and nothing else", async () => {
    await made.bash("(while :; do date +%s%N >> earlier; sleep 0.1; done) >/dev/null 2>&1 &");
    const late = "while :; do sleep 0.1; echo x >> $0; done";
    await interrupted(
      made,
      `setsid sh -c '${late}' one </dev/null >/dev/null 2>&1 & env -i /bin/sh -c '${late}' two & (while :; do sleep 0.1; echo x >> three; done) 7>&- & wait`,
    );
    const sizes = "wc -c < earlier; cat one two three 2>/dev/null | wc -c";
    const [earlier, others] = (await made.bash(sizes)).split("\n").map(Number);
    await made.bash("sleep 0.4");
    const [, othersThen] = (await made.bash(sizes)).split("\n").map(Number);
    expect(othersThen).toBe(others);
    // The disk of a busy machine may take its time.
    await made.bash(`until [ $(wc -c < earlier) -gt ${earlier} ]; do sleep 0.1; done`, { timeout_ms: 10_000 });
  });

  test("a command that fills the process table can be stopped", async () => {
    const bomb = "f() { f | f & }; f & while :; do :; done";
    // Not when its output is seen: where every answer needs a process, none may come out of a full table for long.
    const abort = new AbortController();
    const { result } = startCommand(made.hand, bomb, { signal: abort.signal });
    setTimeout(() => abort.abort(), 1500);
    await expect(result).rejects.toBeInstanceOf(CallInterrupted);
    expect(await made.bash("echo free")).toBe("free");
    expect(await failureOf(made.bash(bomb, { timeout_ms: 300 }))).toMatch(/timed out after 300ms/);
    expect(await made.bash("echo free; ls /proc | grep -c '^[0-9]'")).toMatch(/^free\n\d\d?$/);
  });

  test("an endless output keeps its end and the disk its space", async () => {
    const text = await made.bash(
      "i=0; while [ $i -lt 20 ]; do head -c 10000000 /dev/zero | tr '\\0' a; i=$((i+1)); sleep 0.05; done; echo; echo the end",
    );
    expect(text).toMatch(
      /^\[output truncated\]\n\[These are the last 102400 of \d+ bytes; the whole output is in \S+ \(its first 10 MB\)/,
    );
    expect(text.slice(-60)).toMatch(/(aaa|missing here\.\]\n)\nthe end$/);
    const total = Number(/of (\d+) bytes/.exec(text)?.[1]);
    expect(total).toBeLessThanOrEqual(200_000_010);
    expect(total).toBeGreaterThan(150_000_000);
    const used = Number((await made.bash("du -sk /var/lib/longhaul")).split("\t")[0]);
    expect(used).toBeLessThan(20_000);
    expect(await made.bash("du -k /tmp/tool-output | cut -f1")).toMatch(/^9\d\d\d$/);
  });

  test("a file tool's outcome is known to a new channel, and no change is made twice", async () => {
    await runTool(made.hand, "write", { file_path: "once.txt", content: "a" });
    const id = newCallId();
    const edit = (): Promise<string> =>
      runTool(new BareHand(made.container), "edit", { file_path: "once.txt", old_string: "a", new_string: "aa" }, id);
    expect(await edit()).toBe("edited once.txt (1 replacement(s))");
    expect(await edit()).toBe("edited once.txt (1 replacement(s))");
    expect(await made.bash("cat once.txt")).toBe("aa");
    const wrong = newCallId();
    const failing = (): Promise<string> =>
      runTool(made.hand, "edit", { file_path: "once.txt", old_string: "z", new_string: "a" }, wrong);
    expect(await failureOf(failing())).toBe(await failureOf(failing()));
    // As a channel leaves it that died while it made the change: claimed, the new content still aside, or moved.
    const calls = "/var/lib/longhaul/calls";
    const dead = newCallId();
    await made.bash(
      `echo 1.999999.0 > ${calls}/${dead}.claim; echo b > /tmp/new; echo /tmp/new > ${calls}/${dead}.pend`,
    );
    const again = { file_path: "once.txt", old_string: "aa", new_string: "b" };
    expect(await runTool(made.hand, "edit", again, dead)).toBe("edited once.txt (1 replacement(s))");
    const moved = newCallId();
    await made.bash(`echo 1.999999.0 > ${calls}/${moved}.claim; echo /tmp/gone > ${calls}/${moved}.pend`);
    expect(await runTool(made.hand, "edit", { ...again, old_string: "b" }, moved)).toBe("edit: the change was made");
  });

  test("files of any name and any bytes", async () => {
    for (const name of ["a b", "new\nline", "back\\slash n", " = ", "+5", "'\"$x", "é"]) {
      const file_path = `odd/${name} =`;
      const content = `${name}\u0000\r\n\\n${"x".repeat(70_000)}\n`;
      await runTool(made.hand, "write", { file_path, content });
      expect(await runTool(made.hand, "read", { file_path })).toBe(content.replaceAll("\0", "\ufffd"));
    }
    expect((await runTool(made.hand, "glob", { pattern: "odd/*" })).split("/workspace/").length).toBe(8);
    await made.bash("cd odd; echo found > 'new\nline =.txt'; cd ..");
    const found = await runTool(made.hand, "grep", { pattern: "^found", path: "odd" });
    expect(found).toBe("/workspace/odd/new\nline =.txt:1:found");
    await made.bash("mkfifo odd/pipe; ln -s /dev/zero odd/zero");
    expect(await failureOf(runTool(made.hand, "read", { file_path: "odd/pipe" }))).toMatch(/not a regular file/);
    expect(await failureOf(runTool(made.hand, "write", { file_path: "odd/pipe", content: "" }))).toMatch(/EINVAL/);
    expect(await failureOf(runTool(made.hand, "read", { file_path: "odd/zero" }))).toMatch(/outside/);
  });
});

test("a full disk: what frees it still runs, and what cannot be recorded does not", async () => {
  const state = "/var/lib/longhaul";
  // As many files as there may be; a file system is full of those long before its bytes are used up.
  const container = await RunnerContainer.create(SANDBOX_IMAGE, { [state]: "uid=1000,gid=1000,nr_inodes=80" });
  const hand = new BareHand(container);
  const bash = (command: string): Promise<string> => runTool(hand, "bash", { command });
  const fill = `i=0; while : > ${state}/fill$i; do i=$((i+1)); done`;
  try {
    await bash(`until [ -s ${state}/reserve/16 ]; do sleep 0.05; done`);
    expect(await bash(fill)).toMatch(/No space left on device/);
    expect(await bash(`rm ${state}/fill*; echo freed`)).toBe("freed");
    await container.output(["sh", "-c", `rm -rf ${state}/reserve; ${fill}`]);
    expect(await failureOf(bash("echo x > /workspace/ran"))).toMatch(/was not run: its disk is full/);
    const write = runTool(hand, "write", { file_path: "x", content: "y".repeat(20_000) });
    expect(await failureOf(write)).toMatch(/nothing was changed: its disk is full|no space left on device/);
    await container.output(["sh", "-c", `rm ${state}/fill*`]);
    expect(await failureOf(bash("cat /workspace/ran /workspace/x"))).toMatch(/ran: No such file.*x: No such file/s);
  } finally {
    await hand.close();
    await container.remove();
  }
});

describe("a channel that is cut", () => {
  let made: Made;
  beforeAll(async () => {
    made = await bareBench(SANDBOX_IMAGE);
  });
  afterAll(() => made.end());

  test("at any moment, again and again: every call runs once, and its output is whole", async () => {
    const hand = made.hand as BareHand;
    let over = false;
    const cut = async (): Promise<void> => {
      while (!over) {
        await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 150));
        await hand.close();
      }
    };
    const cutting = cut();
    const expected: string[] = [];
    for (let i = 0; i < 12; i += 1) {
      const nap = (Math.random() * 0.2).toFixed(2);
      const command = `echo ${i}a >> lines; echo ${i}a; sleep ${nap}; echo ${i}b >> lines; echo ${i}b`;
      expect(await made.bash(command)).toBe(`${i}a\n${i}b`);
      expected.push(`${i}a`, `${i}b`);
    }
    over = true;
    await cutting;
    expect((await made.bash("cat lines")).split("\n")).toEqual(expected);
  });

  test("watchers see the whole output once, over all channels", async () => {
    const hand = made.hand as BareHand;
    let seen = "";
    const result = hand.execute(
      "bash",
      { command: "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 0.1; done" },
      { tool_use_id: newCallId(), signal: new AbortController().signal, onOutput: (text) => (seen += text) },
    );
    for (let i = 0; i < 3; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      await hand.close();
    }
    expect(await result).toBe(seen.trimEnd());
    expect(seen.split("\n")).toHaveLength(9);
  });

  test("more channels than there is room for: the oldest makes way", async () => {
    const clients = [];
    for (let i = 0; i < 6; i += 1) clients.push(await made.container.channel());
    const newest = clients.at(-1);
    if (newest === undefined) throw new Error("no channel was opened");
    await clients[0]?.onClosed;
    expect(await runTool(new RunnerCalls(newest) as never, "bash", { command: "echo here" })).toBe("here");
    for (const client of clients) client.close();
  });

  test("a shell that is killed ends its call, and the next one goes on", async () => {
    expect(await failureOf(made.bash("echo before; kill -9 $$"))).toBe("bash: bash session terminated\nbefore");
    expect(await made.bash("echo after")).toBe("after");
    // The container ends with it: whether the shell could still report is chance.
    const all = await runTool(made.hand, "bash", { command: "kill -9 -1" }).catch((error: unknown) => error);
    if (all !== "(no output)") expect(all).toBeInstanceOf(OutcomeUnknown);
    expect(await made.bash("echo again")).toBe("again");
  });
});
