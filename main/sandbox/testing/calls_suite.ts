/** Calls run once, can be attached to, stopped, and are accounted for when their sandbox dies. */
import { expect, test } from "vitest";
import { CallInterrupted, OutcomeUnknown } from "../port.ts";
import { type Bench, failureOf, newCallId, provisionRequest, runTool, startCommand } from "./bench.ts";

export function callsSuite(bench: Bench): void {
  test("the same id twice is one execution, at once or later", async () => {
    const id = newCallId();
    const run = (): Promise<string> =>
      runTool(bench.hand, "bash", { command: "echo run >> once.txt; sleep 0.2; echo ok" }, id);
    expect(await Promise.all([run(), run()])).toEqual(["ok", "ok"]);
    expect(await run()).toBe("ok");
    expect(await bench.bash("cat once.txt")).toBe("run");
    expect(await bench.provider.callState(bench.session, id)).toBe("done");
    expect(await bench.provider.callState(bench.session, newCallId())).toBe("unknown");
  });

  test("a failure is kept like a result", async () => {
    const id = newCallId();
    const run = (): Promise<string> => runTool(bench.hand, "bash", { command: "echo x >> fails.txt; false" }, id);
    expect(await failureOf(run())).toBe(await failureOf(run()));
    expect(await bench.bash("wc -l < fails.txt")).toMatch(/^\s*1$/);
  });

  test("a new provider attaches to a call that runs, and gets its output and result", async () => {
    const first = startCommand(bench.hand, "sleep 1; echo late; echo x >> attach.txt");
    const { id } = first;
    await first.begun;
    const other = bench.subject.open();
    expect(await other.callState(bench.session, id)).toBe("running");
    const adopted = await other.provision(provisionRequest(bench.session));
    expect(adopted.adopted).toBe(true);
    const seen: string[] = [];
    const text = await adopted.hand.execute(
      "bash",
      { command: "ignored: the call is known" },
      {
        tool_use_id: id,
        signal: new AbortController().signal,
        onOutput: (chunk) => seen.push(chunk),
      },
    );
    expect(text).toBe("begun\nlate");
    expect(seen.join("")).toBe("begun\nlate\n");
    expect(await first.result).toBe("begun\nlate");
    expect(await bench.bash("cat attach.txt")).toBe("x");
    await other.close();
  });

  test("commands wait for each other; file tools do not wait for them", async () => {
    const order: string[] = [];
    const note = (what: string) => (): number => order.push(what);
    await Promise.all([
      bench.bash("sleep 0.4; echo a >> order.txt").then(note("first command")),
      bench.bash("echo b >> order.txt").then(note("second command")),
      runTool(bench.hand, "write", { file_path: "free.txt", content: "" }).then(note("file")),
    ]);
    expect(order).toEqual(["file", "first command", "second command"]);
    expect(await bench.bash("cat order.txt")).toBe("a\nb");
  });

  test("an interrupt stops the command, and the shell goes on where it was", async () => {
    await bench.bash("cd deep; export STAYS=1");
    const abort = new AbortController();
    const command = "while true; do :; done; echo x > not.txt";
    const { id, result, begun } = startCommand(bench.hand, command, { signal: abort.signal });
    await begun;
    abort.abort();
    await expect(result).rejects.toBeInstanceOf(CallInterrupted);
    await expect(runTool(bench.hand, "bash", { command: "" }, id)).rejects.toBeInstanceOf(CallInterrupted);
    expect(await bench.bash("pwd; echo $STAYS; ls")).toBe("/workspace/deep\n1\ner");
    await bench.bash("cd /workspace");
    const before = new AbortController();
    before.abort();
    const never = bench.hand.execute(
      "bash",
      { command: "echo x > never.txt" },
      { tool_use_id: newCallId(), signal: before.signal },
    );
    await expect(never).rejects.toBeInstanceOf(CallInterrupted);
    expect(await failureOf(bench.bash("cat never.txt"))).toMatch(/No such file/);
  });

  test("an interrupted command that waits for its turn does not run", async () => {
    const abort = new AbortController();
    const first = startCommand(bench.hand, "sleep 0.4");
    await first.begun;
    const second = bench.hand.execute(
      "bash",
      { command: "echo x > queued.txt" },
      { tool_use_id: newCallId(), signal: abort.signal },
    );
    abort.abort();
    await expect(second).rejects.toBeInstanceOf(CallInterrupted);
    await first.result;
    expect(await failureOf(bench.bash("cat queued.txt"))).toMatch(/No such file/);
  });
}

export function killedSuite(bench: Bench): void {
  test("leaves its files, its directory and its exported variables", async () => {
    await bench.bash("cd deep; export ALIVE=1; echo kept > kept.txt");
    await bench.subject.kill(bench.session);
    expect(await bench.bash("pwd; cat kept.txt; echo $ALIVE")).toBe("/workspace/deep\nkept\n1");
    await bench.bash("cd /workspace");
  });

  test("the outcome of a command in flight is unknown, and stays so; it is not run again", async () => {
    const { id, result, begun } = startCommand(bench.hand, "echo x >> killed.txt; echo done; sleep 30");
    await begun;
    await bench.subject.kill(bench.session);
    await expect(result).rejects.toThrow(
      "The run was cut off; it may or may not have taken effect. Inspect the state before repeating.",
    );
    const again = startCommand(bench.hand, "echo x >> killed.txt", { id });
    await expect(again.result).rejects.toBeInstanceOf(OutcomeUnknown);
    expect(await bench.provider.callState(bench.session, id)).toBe("lost");
    expect((await bench.bash("cat killed.txt || true")).split("\n").length).toBe(1);
  });

  test("commands that waited for their turn run in the next one", async () => {
    const blocked = startCommand(bench.hand, "sleep 30");
    await blocked.begun;
    const waiting = runTool(bench.hand, "bash", { command: "echo x >> waited.txt; echo ran" });
    await bench.subject.kill(bench.session);
    await expect(blocked.result).rejects.toBeInstanceOf(OutcomeUnknown);
    expect(await waiting).toBe("ran");
    expect(await bench.bash("cat waited.txt")).toBe("x");
  });

  test("results from before are still there", async () => {
    const id = newCallId();
    expect(await runTool(bench.hand, "bash", { command: "echo x >> before.txt; echo result" }, id)).toBe("result");
    await bench.subject.kill(bench.session);
    expect(await bench.provider.callState(bench.session, id)).toBe("done");
    expect(await runTool(bench.hand, "bash", { command: "echo x >> before.txt; echo result" }, id)).toBe("result");
    expect(await bench.bash("cat before.txt")).toBe("x");
  });
}
