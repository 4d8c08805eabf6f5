import { EventEmitter } from "node:events";
import { describe, expect, test } from "vitest";
import type { TimelineFrame } from "../../contract/local_api.ts";
import { EMPTY_ACCOUNT } from "../account/account.ts";
import { Recording } from "../account/testing/frames.ts";
import { styleFor } from "../account/words.ts";
import type { LocalClient } from "../client.ts";
import type { Terminal } from "../terminal.ts";
import { howToAnswer } from "./approvals.ts";
import { follow, readHistory } from "./follow.ts";
import { type Interrupts, listenForInterrupts } from "./interrupts.ts";

const STYLE = styleFor(false, "UTC");

/** A client that plays frames; `sent` answers a send with more frames. */
class ScriptedClient {
  readonly sent: unknown[] = [];
  woken = 0;
  readonly #frames: TimelineFrame[];
  #wake: () => void = () => undefined;
  onSend: (events: unknown) => TimelineFrame[] = () => [];

  constructor(frames: TimelineFrame[]) {
    this.#frames = [...frames];
  }

  async *timeline(_id: string, after: number, signal: AbortSignal): AsyncGenerator<TimelineFrame> {
    signal.addEventListener("abort", () => this.#wake());
    while (!signal.aborted) {
      const frame = this.#frames.shift();
      if (frame === undefined) await new Promise<void>((resolve) => (this.#wake = resolve));
      else if (frame.type !== "stored" || frame.stored.seq > after) yield frame;
    }
  }

  play(frames: TimelineFrame[]): void {
    this.#frames.push(...frames);
    this.#wake();
  }

  wake(): Promise<void> {
    this.woken += 1;
    return Promise.reject(new Error("the engine is gone again"));
  }

  sdk() {
    const send = (_id: string, body: { events: unknown }) => {
      this.sent.push(body.events);
      this.play(this.onSend(body.events));
      return Promise.resolve({});
    };
    return Promise.resolve({ beta: { sessions: { events: { send } } } });
  }
}

function terminalWith(answers: (string | null)[] | null): { terminal: Terminal; output: () => string } {
  let output = "";
  const terminal: Terminal = {
    out: (text) => (output += text),
    err: (text) => (output += text),
    interactive: answers !== null,
    color: false,
    ask: (question) => {
      output += question;
      return Promise.resolve(answers?.shift() ?? null);
    },
    typed: false,
    askHidden: () => Promise.resolve(null),
    readInput: () => Promise.resolve(""),
  };
  return { terminal, output: () => output };
}

const idle = (): Interrupts => ({
  asked: false,
  leaving: new AbortController().signal,
  press: () => undefined,
  dispose: () => undefined,
});

async function run(
  client: ScriptedClient,
  answers: (string | null)[] | null = null,
  interrupts: Interrupts = idle(),
  json = false,
) {
  const { terminal, output } = terminalWith(answers);
  const { ending } = await follow({
    client: client as unknown as LocalClient,
    terminal,
    style: STYLE,
    session_id: "sesn_1",
    state: EMPTY_ACCOUNT,
    json,
    interrupts,
  });
  return { ending, output: output() };
}

describe("how it ends", () => {
  test.each([
    ["end_turn", "done"],
    ["retries_exhausted", "failed"],
    ["refusal", "failed"],
    ["budget_reached", "failed"],
  ] as const)("%s is %s", async (reason, ending) => {
    const recording = new Recording()
      .task()
      .caughtUp()
      .request("s")
      .message("m", "Hm.")
      .answered("s")
      .idle(reason)
      .released();
    expect((await run(new ScriptedClient(recording.frames))).ending).toBe(ending);
  });

  test("history alone decides nothing before all of it is there", async () => {
    const recording = new Recording().task().request("s").message("m", "One.").answered("s").idle().released();
    recording.task("And two?").request("s2").message("m2", "Two.").answered("s2").idle().released().caughtUp();
    const { ending, output } = await run(new ScriptedClient(recording.frames));
    expect(ending).toBe("done");
    expect(output).toContain("Two.");
  });

  test("a session that does not give its lease back is not waited for", async () => {
    const recording = new Recording().task().caughtUp().request("s").message("m", "Hm.").answered("s").idle();
    expect((await run(new ScriptedClient(recording.frames))).ending).toBe("done");
  });

  test("terminated is failed, deleted is deleted", async () => {
    const terminated = new Recording().task().caughtUp();
    terminated.add({ type: "session.status_terminated" });
    expect((await run(new ScriptedClient(terminated.frames))).ending).toBe("failed");
    const deleted = new Recording().task().caughtUp().push({ type: "deleted" });
    expect((await run(new ScriptedClient(deleted.frames))).ending).toBe("deleted");
  });

  test("a planned retry is waited for", async () => {
    const recording = new Recording().task().caughtUp();
    const at = new Date(Date.now() + 60_000).toISOString();
    recording.add({ type: "longhaul.retry_scheduled", attempt: 1, at, error_type: "x", waits_for_network: false });
    recording.add({ type: "session.status_rescheduled" });
    const client = new ScriptedClient(recording.frames);
    const leaving = new AbortController();
    setTimeout(() => leaving.abort(), 50);
    expect((await run(client, null, { ...idle(), leaving: leaving.signal })).ending).toBe("left");
  });

  test("an engine that replaced a dead one is asked to go on; the first connection is not", async () => {
    const recording = new Recording().task().caughtUp().request("s").caughtUp();
    recording.message("m", "Hm.").answered("s").idle().caughtUp().released();
    const client = new ScriptedClient(recording.frames);
    expect((await run(client)).ending).toBe("done");
    expect(client.woken).toBe(1);
  });

  test("with --json every stored event is a line, and nothing else", async () => {
    const recording = new Recording()
      .task()
      .caughtUp()
      .request("s")
      .stream("m", "H")
      .message("m", "Hm.")
      .answered("s")
      .idle()
      .released();
    const { output } = await run(new ScriptedClient(recording.frames), null, idle(), true);
    const seqs = output
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { seq: number }).seq);
    expect(seqs).toEqual(Array.from({ length: recording.last_seq }, (_, n) => n + 1));
  });
});

describe("approvals", () => {
  const waiting = () =>
    new Recording()
      .task()
      .caughtUp()
      .request("s")
      .call("t1", "bash", { command: `echo ${"x".repeat(300)}`, timeout_ms: 5 }, "ask")
      .answered("s", { stop_reason: "tool_use" })
      .waiting("t1");

  test("nobody can be asked: it ends there and says how to answer", async () => {
    const recording = waiting();
    expect((await run(new ScriptedClient(recording.frames))).ending).toBe("needs_you");
    const state = await readHistory(
      new ScriptedClient([
        ...recording.frames.filter((frame) => frame.type === "stored"),
        { type: "caught_up", seq: 9 },
      ]) as unknown as LocalClient,
      "sesn_1",
      STYLE,
      EMPTY_ACCOUNT,
    );
    expect(howToAnswer(state, "sesn_1")).toContain("longhaul resume sesn_1");
  });

  test("yes goes on; the exact input was shown", async () => {
    const recording = waiting();
    const client = new ScriptedClient(recording.frames);
    const seen = recording.frames.length;
    client.onSend = () => {
      const { event } = recording.add({ type: "user.tool_confirmation", tool_use_id: "t1", result: "allow" });
      recording.add({ type: "longhaul.inputs_consumed", event_ids: [event.id] });
      recording.add({ type: "session.status_running" });
      recording.started("t1").result("t1", "ok").request("s2").message("m", "Done.").answered("s2").idle().released();
      return recording.frames.slice(seen);
    };
    const { ending, output } = await run(client, ["perhaps", "Y"]);
    expect(ending).toBe("done");
    expect(client.sent).toEqual([[{ type: "user.tool_confirmation", tool_use_id: "t1", result: "allow" }]]);
    expect(output).toContain("x".repeat(300));
    expect(output).toContain("timeout_ms: 5");
  });

  test("events that arrive before the answer took effect are no reason to ask again", async () => {
    const recording = waiting();
    recording.released();
    recording.add({ type: "session.thread_status_idle", session_thread_id: "sthr_1" } as unknown as Parameters<
      Recording["add"]
    >[0]);
    const played = new ScriptedClient(recording.frames);
    played.onSend = () => [];
    const leaving = new AbortController();
    setTimeout(() => leaving.abort(), 100);
    const { output } = await run(played, ["y", "y", "y"], { ...idle(), leaving: leaving.signal });
    expect(played.sent).toHaveLength(1);
    expect(output.match(/Allow bash/g)).toHaveLength(1);
  });

  test("no carries the reason", async () => {
    const client = new ScriptedClient(waiting().frames);
    client.onSend = () => [{ type: "deleted" }];
    await run(client, ["n", " not now "]);
    expect(client.sent).toEqual([
      [{ type: "user.tool_confirmation", tool_use_id: "t1", result: "deny", deny_message: "not now" }],
    ]);
  });

  test("the end of the input is no answer", async () => {
    const client = new ScriptedClient(waiting().frames);
    expect((await run(client, [null])).ending).toBe("needs_you");
    expect(client.sent).toEqual([]);
  });
});

describe("Ctrl+C", () => {
  function listening(hasSession: boolean) {
    const said: string[] = [];
    const done: string[] = [];
    const source = new EventEmitter();
    const interrupts = listenForInterrupts(
      {
        interrupt: () => {
          done.push("interrupt");
          return hasSession;
        },
        kill: () => done.push("kill"),
        say: (line) => said.push(line),
      },
      source as unknown as NodeJS.Process,
    );
    return { said, done, source, interrupts };
  }

  test("once interrupts the turn and waits for its end", async () => {
    const { source, interrupts, said } = listening(true);
    source.emit("SIGINT");
    expect(said[0]).toContain("Ctrl+C again leaves");
    const recording = new Recording().task().caughtUp().request("s");
    const { event } = recording.add({ type: "user.interrupt" });
    recording.answered("s", { error: true }).add({ type: "longhaul.inputs_consumed", event_ids: [event.id] });
    recording.idle().released();
    expect((await run(new ScriptedClient(recording.frames), null, interrupts)).ending).toBe("interrupted");
  });

  test("twice leaves, three times kills", async () => {
    const { source, interrupts, done } = listening(true);
    source.emit("SIGINT");
    source.emit("SIGINT");
    expect(interrupts.leaving.aborted).toBe(true);
    expect((await run(new ScriptedClient(new Recording().task().caughtUp().frames), null, interrupts)).ending).toBe(
      "left",
    );
    source.emit("SIGINT");
    expect(done).toEqual(["interrupt", "kill"]);
  });

  test("before there is a session, once leaves; SIGTERM always leaves", () => {
    const early = listening(false);
    early.source.emit("SIGINT");
    expect(early.interrupts.leaving.aborted).toBe(true);
    expect(early.interrupts.asked).toBe(false);
    const late = listening(true);
    late.source.emit("SIGTERM");
    expect(late.interrupts.leaving.aborted).toBe(true);
    late.interrupts.dispose();
    expect(late.source.eventNames()).toEqual([]);
  });
});
