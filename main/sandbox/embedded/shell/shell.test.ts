import { mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { ShellFailure, type ShellOutput } from "../../machine.ts";
import { makeSandboxFolders } from "../layout.ts";
import type { ShellState } from "./protocol.ts";
import { Shell, type ShellLimits } from "./shell.ts";

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

let root: string;
let shell: Shell;
const states: ShellState[] = [];

function makeShell(limits?: ShellLimits, state: ShellState = { cwd: "/workspace", env: {} }): Shell {
  return new Shell(root, join(import.meta.dirname, "../host.ts"), state, (changed) => states.push(changed), limits);
}

function run(command: string, timeoutMs = 20_000, on: Shell = shell): Promise<ShellOutput> {
  const signal = new AbortController().signal;
  return on.run(command, { timeoutMs, signal, onOutput: () => undefined, spillName: "spill.txt" });
}

async function failure(result: Promise<ShellOutput>): Promise<ShellFailure> {
  const error = await result.then(
    (output) => output,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(ShellFailure);
  return error as ShellFailure;
}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "longhaul-shell-"));
  makeSandboxFolders(root);
  shell = makeShell();
});

afterAll(async () => {
  await shell.close();
  await rm(root, { recursive: true, force: true });
});

describe("what commands write arrives once and in order", () => {
  const cases: [command: string, text: string][] = [
    ["for i in 1 2; do echo out$i; echo err$i >&2; done", "out1\nerr1\nout2\nerr2\n"],
    [
      "if true; then echo yes; echo no >&2; fi; case a in a) echo case; nosuchcmd ;; esac",
      "yes\nno\ncase\nbash: nosuchcmd: command not found\n",
    ],
    ["(echo sub; echo err >&2; echo last); { echo group; }", "sub\nerr\nlast\ngroup\n"],
    ['x=$(echo in; echo hidden >&2); echo "[$x]"', "[in]\nhidden\n"],
    ['f() { echo body; }; y=$(f); echo "[$y]"; f > /tmp/f.txt; cat /tmp/f.txt', "[body]\nbody\n"],
    [`echo a | tr a b | cat; ls /gone | cat; echo \${PIPESTATUS[1]}`, "b\nls: /gone: No such file or directory\n0\n"],
    [`false | true; echo "\${PIPESTATUS[@]}"; ! false && echo negated`, "1 0\nnegated\n"],
    ["echo x 2>&1 >/dev/null; echo lost >/dev/null; ls /gone 2>/dev/null; echo kept >&2", "kept\n"],
    ["ls /gone 2>&1 | wc -l; ls /gone |& cat", "1\nls: /gone: No such file or directory\n"],
    ["{ echo o; echo e >&2; } > /tmp/o.txt 2> /tmp/e.txt; cat /tmp/o.txt /tmp/e.txt", "o\ne\n"],
    ["printf 'l1\\nl2\\n' > /tmp/l.txt; while read -r l; do echo \"<$l>\"; done < /tmp/l.txt", "<l1>\n<l2>\n"],
    ["cat <<'E'\n  indented $HOME\nE\ncat <<< here", "  indented $HOME\nhere\n"],
    ["n=0; until [ $n -ge 2 ]; do n=$((n+1)); echo $n; done; for ((i=0;i<2;i++)); do echo i$i; done", "1\n2\ni0\ni1\n"],
    [
      "true && echo and || echo or; false || echo or2; [[ a == b ]] || echo neq; ((1 > 2)) || echo less",
      "and\nor2\nneq\nless\n",
    ],
    [`a=(1 'two words' 3); echo "\${a[1]}"; declare -A m=([k]=v); echo \${m[k]}`, "two words\nv\n"],
    [
      "eval 'echo evaluated; echo err >&2'; echo 'echo sourced' > /tmp/s.sh; . /tmp/s.sh; bash /tmp/s.sh",
      "evaluated\nerr\nsourced\nsourced\n",
    ],
    ["echo one\necho two # comment\n\n\necho 'multi\nline'", "one\ntwo\nmulti\nline\n"],
    ["break; echo after break", ""],
    ["continue; echo after continue", ""],
    ["return 2>/dev/null; echo after return", "after return\n"],
    ["sleep 0.05 & wait; echo background done", "background done\n"],
    [
      "mkdir d1 && rmdir d1 && echo removed; ls -d /bin/ls; which cat; /bin/echo by path",
      "removed\n/bin/ls\n/usr/bin/cat\nby path\n",
    ],
    ["exec 3>&1; echo to three >&3; exec 3>&-", "to three\n"],
    ["set -x; echo traced; set +x", "traced\n+ echo traced\n+ set +x\n"],
  ];
  test.each(cases)("%s", async (command, text) => {
    const output = await run(command);
    // The order of a trace and of what is traced differs between shells.
    if (command.startsWith("set -x")) expect(output.text.split("\n").sort()).toEqual(text.split("\n").sort());
    else expect(output.text).toBe(text);
  });
});

describe("a shell lives on", () => {
  test("options, aliases of state, arrays and functions stay between commands", async () => {
    await run(`arr=(a 'b c'); shopt -s nullglob; count() { echo \${#arr[@]}; }; set -o pipefail; cd /tmp`);
    expect((await run(`count; echo "\${arr[1]}"; echo /nothing/*; false | true; echo $?; pwd`)).text).toBe(
      "2\nb c\n\n1\n/tmp\n",
    );
    await run("cd /workspace; set +o pipefail; shopt -u nullglob");
  });

  test("what it was told to be is what it starts with", async () => {
    const other = makeShell(undefined, { cwd: "/tmp", env: { FROM: "before" } });
    expect((await run("pwd; echo $FROM; export LATER=1", 20_000, other)).text).toBe("/tmp\nbefore\n");
    expect(states.at(-1)?.env).toMatchObject({ FROM: "before", LATER: "1" });
    await other.close();
  });

  test("a limit, a fault and a syntax error cost the command, not the directory and variables", async () => {
    await run("cd /tmp; export HELD=1");
    expect((await failure(run("f() { f; }; f"))).output).toMatch(/recursion depth/);
    expect((await run("pwd; echo $HELD")).text).toBe("/tmp\n1\n");
    expect(await run("echo 'unclosed")).toMatchObject({
      exitCode: 2,
      text: expect.stringMatching(/syntax error/) as string,
    });
    expect((await run("f() { f | f; }; f").catch((error: ShellFailure) => ({ text: error.output }))).text).toMatch(
      /depth/,
    );
    expect((await run("pwd; cd /workspace")).text).toBe("/tmp\n");
  });

  test("exit and a failing command under set -e end it, and the next one is new", async () => {
    await run("export GONE=1; cd /tmp");
    expect((await failure(run("set -e; false; echo after"))).reason).toBe("terminated");
    expect((await run("echo [$GONE]; pwd")).text).toBe("[]\n/workspace\n");
  });

  test("many commands do not make it slower or larger", async () => {
    const before = process.memoryUsage.rss();
    for (let i = 0; i < 300; i += 1) await run(`v=$(echo ${i}); echo $v > /tmp/counter.txt`);
    expect((await run("cat /tmp/counter.txt")).text).toBe("299\n");
    expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 1024 * 1024);
  });
});

test("removing everything leaves the uploads and a shell that works", async () => {
  await writeFile(join(root, "mnt/session/uploads/u.txt"), "upload");
  for (const command of [
    "rm -rf /mnt",
    "mv /mnt/session /tmp/moved",
    "rm -rf /*",
    "rm -rf /workspace; cd /workspace",
  ]) {
    await run(`${command} || true`);
  }
  expect((await run("cat /mnt/session/uploads/u.txt")).text).toBe("upload");
  await shell.restart();
  expect((await run("pwd; echo new > f.txt; cat f.txt; cd /tmp && pwd")).text).toBe("/workspace\nnew\n/tmp\n");
  await run("cd /workspace");
});

test("links in the place of the sandbox's folders lead nothing out of it, and stop no shell", async () => {
  const outside = await mkdtemp(join(tmpdir(), "longhaul-outside-"));
  await run("rm -rf /tmp /home /workspace; ln -s /nowhere /workspace");
  for (const name of ["tmp", "home"]) await symlink(outside, join(root, name));
  await shell.restart();
  const { truncated, text } = await run("seq 1 40000; echo works");
  expect([truncated?.file, text.slice(-6)]).toEqual([null, "works\n"]);
  expect(await readdir(outside)).toEqual([]);
  for (const name of ["tmp", "home", "workspace"]) await rm(join(root, name));
  await rm(outside, { recursive: true });
  await shell.restart();
  expect((await run("cd /workspace && pwd")).text).toBe("/workspace\n");
});

describe("whatever runs away is stopped", () => {
  test.each([
    ["an endless loop", "while true; do :; done"],
    ["endless output", "while true; do echo yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy; done"],
    ["endless output without a line end", "while true; do printf 1234567890; done"],
    ["endless Python", "python3 -c 'while True: pass'"],
    ["endless JavaScript", "js-exec -c 'for(;;){}'"],
    [
      "a regular expression without end",
      "echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab | grep -P '^(a+)+$' ; while true; do :; done",
    ],
    ["sleeping", "sleep 1000"],
  ])("%s", async (_, command) => {
    const stopped = await failure(run(command, 400));
    expect(stopped).toMatchObject({ reason: "timeout", message: "bash command timed out after 400ms" });
    expect((await run("echo alive")).text).toBe("alive\n");
  });

  test("too much memory", async () => {
    const small = makeShell({ memory: process.memoryUsage.rss() + 150 * 1024 ** 2, freeDisk: 0 });
    await run("true", 20_000, small);
    const stopped = await failure(
      run("python3 -c 'x = [bytearray(20 << 20) for _ in range(60)]; import time; time.sleep(60)'", 30_000, small),
    );
    expect(stopped).toMatchObject({ reason: "resources", message: expect.stringMatching(/too much memory/) as string });
    expect((await run("echo alive", 20_000, small)).text).toBe("alive\n");
    await small.close();
  });

  test("a value too long for a string", async () => {
    const output = await run("x=a; while true; do x=$x$x; done").catch((error: ShellFailure) => ({
      text: error.output,
    }));
    expect(output.text).toMatch(/limit exceeded/);
  });

  test("a full disk", async () => {
    const full = makeShell({ memory: 2 ** 40, freeDisk: 2 ** 60 });
    const stopped = await failure(run("sleep 60", 30_000, full));
    expect(stopped).toMatchObject({
      reason: "resources",
      message: expect.stringMatching(/left on the disk/) as string,
    });
    await full.close();
  });

  test("a very long output keeps its end in memory and its first 10 MB on disk", async () => {
    const output = await run("for i in $(seq 1 15); do printf '%01000000d' $i; done; echo; echo the end");
    expect(output.text.endsWith("0015\nthe end\n")).toBe(true);
    expect(output.truncated).toEqual({ bytes: 15_000_009, file: "/tmp/tool-output/spill.txt" });
    expect((await readFile(join(root, "tmp/tool-output/spill.txt"))).length).toBe(10_000_000);
  });
});
