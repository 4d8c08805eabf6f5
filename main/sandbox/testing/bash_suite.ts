/** `bash` on any machine. */
import { expect, test } from "vitest";
import { OUTPUT_LIMIT } from "../machine.ts";
import { type Bench, failureOf, newCallId, provisionRequest, runTool } from "./bench.ts";

export function bashSuite(bench: Bench): void {
  test("answers with standard output and standard error in the order in which they were written", async () => {
    expect(await bench.bash("echo one; echo two >&2; echo three")).toBe("one\ntwo\nthree");
  });

  test("keeps directory, variables and functions between calls", async () => {
    await bench.bash('mkdir -p deep/er && cd deep/er && export KEPT=yes && PLAIN=too && greet() { echo "hello $1"; }');
    expect(await bench.bash('pwd; echo "$KEPT $PLAIN"; greet you; x=$(greet it); echo "[$x]"')).toBe(
      "/workspace/deep/er\nyes too\nhello you\n[hello it]",
    );
    await bench.bash("cd /workspace");
  });

  test("says so when there is no output, and cuts line ends and colours away", async () => {
    expect(await bench.bash("true")).toBe("(no output)");
    expect(await bench.bash("printf '\\033[31mred\\033[0m\\n\\n\\n'")).toBe("red");
  });

  test("a non-zero exit is a failure with the output, or with its number", async () => {
    expect(await failureOf(bench.bash("echo why; false"))).toBe("why");
    expect(await failureOf(bench.bash("(exit 7)"))).toBe("exit 7");
    expect(await failureOf(bench.bash("cat missing.txt"))).toMatch(/missing\.txt: No such file or directory/);
    expect(await failureOf(bench.bash("if then"))).toMatch(/syntax error/);
  });

  test("exit ends the shell; the next call gets a new one", async () => {
    await bench.bash("cd deep; export GONE=1");
    expect(await failureOf(bench.bash("exit 3"))).toBe("bash: bash session terminated");
    expect(await bench.bash("pwd; echo [$GONE]")).toBe("/workspace\n[]");
    expect(await failureOf(bench.bash("set -e; echo before; false; echo after"))).toBe(
      "bash: bash session terminated\nbefore",
    );
  });

  test("restart alone, and restart with a command", async () => {
    await bench.bash("export STALE=1");
    expect(await runTool(bench.hand, "bash", { restart: true })).toBe("bash session restarted");
    expect(await bench.bash("echo [$STALE]")).toBe("[]");
    await bench.bash("export STALE=2");
    expect(await bench.bash("echo [$STALE]", { restart: true })).toBe("[]");
  });

  test("a command over its time is stopped and its shell discarded", async () => {
    await bench.bash("cd deep");
    expect(await failureOf(bench.bash("while true; do :; done", { timeout_ms: 300 }))).toBe(
      "bash: bash command timed out after 300ms",
    );
    expect(await bench.bash("pwd")).toBe("/workspace");
  });

  test("keeps the last 100 KiB of a long output and puts the whole into a file", async () => {
    const text = await bench.bash("seq 1 60000");
    const [first, second = "", ...lines] = text.split("\n");
    expect(first).toBe("[output truncated]");
    expect(text.endsWith("\n59999\n60000")).toBe(true);
    expect(text.length).toBeGreaterThan(OUTPUT_LIMIT - 10);
    expect(text.length).toBeLessThan(OUTPUT_LIMIT + 300);
    expect(lines.length).toBeGreaterThan(10_000);
    const file = /in (\/tmp\/\S+?)\.?\]$/.exec(second)?.[1] ?? "";
    expect(await bench.bash(`wc -l < ${file}; head -1 ${file}; tail -1 ${file}`)).toMatch(/^\s*60000\n1\n60000$/);
    expect(await runTool(bench.hand, "read", { file_path: file, view_range: [2, 3] })).toBe("2\n3");
  });

  test("output is valid UTF-8 without NUL, whatever the command writes", async () => {
    const text = await bench.bash("printf 'a\\0b\\n'; printf '\\303\\251 \\360\\237\\230\\200\\n'; printf 'x\\377\\n'");
    expect(text).not.toContain("\0");
    expect(text.isWellFormed()).toBe(true);
    expect(text).toContain("é 😀");
  });

  test("bad input is named", async () => {
    expect(await failureOf(runTool(bench.hand, "bash", {}))).toBe("bash: command is required");
    expect(await failureOf(runTool(bench.hand, "bash", { command: 5 }))).toBe("bash: command must be a string");
    expect(await failureOf(runTool(bench.hand, "bash", { command: "ls", timeout_ms: "soon" }))).toMatch(
      /timeout_ms must/,
    );
    expect(await failureOf(runTool(bench.hand, "bash", "ls"))).toMatch(/must be a JSON object/);
    expect(await failureOf(runTool(bench.hand, "sing", {}))).toMatch(/no tool named "sing"/);
  });

  test("commands cannot wait for input, and Python and JavaScript run", async () => {
    expect(await bench.bash("cat; read -r line; echo done")).toBe("done");
    expect(await bench.bash("python3 -c 'print(6 * 7)'")).toBe("42");
  });

  test("output arrives while the command runs, also when it then is silent", async () => {
    const chunks: string[] = [];
    let arrived: () => void = () => undefined;
    const both = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const abort = new AbortController();
    const running = bench.hand.execute(
      "bash",
      { command: "echo first; echo second; sleep 60" },
      {
        tool_use_id: newCallId(),
        signal: abort.signal,
        onOutput: (text) => {
          chunks.push(text);
          if (chunks.join("") === "first\nsecond\n") arrived();
        },
      },
    );
    await both;
    abort.abort();
    await expect(running).rejects.toThrow();
  });

  test("no key of this process reaches the shell", async () => {
    process.env["ANTHROPIC_API_KEY"] = "sk-ant-canary";
    const other = bench.subject.open();
    const made = await other.provision(provisionRequest("sesn_env"));
    const text = await runTool(made.hand, "bash", { command: "env; set; export" });
    expect(text).not.toContain("canary");
    expect(text).not.toContain("ANTHROPIC_");
    delete process.env["ANTHROPIC_API_KEY"];
    await other.destroy("sesn_env");
    await other.close();
  });
}
