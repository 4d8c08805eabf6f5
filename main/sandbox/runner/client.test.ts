import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { RunnerCalls } from "./calls.ts";
import { ChannelClosed, RunnerClient } from "./client.ts";
import { escapePath, FrameReader, ProtocolError, unescapePath } from "./frames.ts";
import type { ExecStream } from "./stream.ts";

interface FakeRelay {
  stream: ExecStream;
  /** Lines that the client sent. */
  sent: string[];
  say: (text: string | Buffer) => void;
  end: () => void;
}

/** @param answer what the relay says to a line */
function fakeRelay(answer: (line: string) => string | null = () => null): FakeRelay {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const sent: string[] = [];
  let end: () => void = () => undefined;
  const closed = new Promise<void>((resolve) => {
    end = resolve;
  });
  let rest = "";
  stdin.on("data", (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      sent.push(line);
      const said = answer(line);
      if (said !== null) stdout.write(said);
    }
  });
  return {
    stream: { stdin, stdout, stderr: () => "said on standard error", closed, destroy: end },
    sent,
    say: (text) => stdout.write(text),
    end,
  };
}

async function opened(relay: FakeRelay): Promise<RunnerClient> {
  relay.say("hello 1 bash 1\n");
  return RunnerClient.open(relay.stream);
}

const call = (id: string, more: { signal?: AbortSignal; onOutput?: (text: string) => void } = {}) => ({
  tool_use_id: id,
  signal: new AbortController().signal,
  ...more,
});

const anEnd = (line: string, end: string): string | null =>
  line.startsWith("r ") ? `d ${line.split(" ")[1]} ${end}` : null;

test("what the relay says first decides: hello, a reason, nothing, or noise", async () => {
  const client = await opened(fakeRelay());
  expect(client.closed).toBe(false);
  const lacking = fakeRelay();
  lacking.say("fatal The image has no program named base64, which the sandbox needs.\n");
  await expect(RunnerClient.open(lacking.stream)).rejects.toThrow("no program named base64");
  await expect(RunnerClient.open(fakeRelay().stream, 20)).rejects.toThrow("did not answer within 0.02 seconds");
  const noise = fakeRelay();
  noise.say("OCI runtime exec failed\n");
  await expect(RunnerClient.open(noise.stream)).rejects.toThrow(/did not say hello but "OCI runtime exec failed"/);
  const gone = fakeRelay();
  gone.end();
  await expect(RunnerClient.open(gone.stream)).rejects.toThrow("ended: said on standard error");
});

test.each([
  ["an endless line", Buffer.alloc(9000, "x")],
  ["a payload too large to be true", "d c1 0 +999999\n"],
  ["an endless answer", `p 1 ok =\n${"QUJD\n".repeat(270_000)}`],
  ["a word that no relay says", "rm -rf\n"],
])("%s closes the channel, and what waits is told", async (_, bytes) => {
  const relay = fakeRelay();
  const client = await opened(relay);
  const result = new RunnerCalls(client).execute("bash", { command: "sleep 9" }, call("c1"));
  const pinged = client.ping();
  relay.say(bytes);
  await expect(result).rejects.toBeInstanceOf(ChannelClosed);
  await expect(pinged).rejects.toBeInstanceOf(ChannelClosed);
  await client.onClosed;
  expect(client.closed).toBe(true);
});

test("answers that make no sense are errors of that call, never more", async () => {
  const relay = fakeRelay((line) => {
    const [, n, operation] = line.split(" ");
    if (operation === "resolve") return `p ${n} ok /workspace/../etc/passwd/\n`;
    return `p ${n} ok what =\nnot base64\n.\np other ok\nd nobody 0 +3\nabc`;
  });
  const calls = new RunnerCalls(await opened(relay));
  await expect(calls.execute("read", { file_path: "x" }, call("c1"))).rejects.toThrow("no such file");
  const elsewhere = fakeRelay((line) => `p ${line.split(" ")[1]} ok /etc/passwd/\n`);
  const others = new RunnerCalls(await opened(elsewhere));
  await expect(others.execute("read", { file_path: "x" }, call("c2"))).rejects.toThrow("is outside the session's");
  const silly = fakeRelay((line) => `p ${line.split(" ")[1]} ok /workspace/x/\n`);
  const third = new RunnerCalls(await opened(silly));
  await expect(third.execute("read", { file_path: "x" }, call("c3"))).rejects.toThrow(/i\/o error \(EIO\)/);
  await expect(third.execute("read", { file_path: "x" }, call("../../c"))).rejects.toThrow("is not one");
});

test("every end of a command has its error", async () => {
  const ends: Record<string, string> = {
    "3 +3\nwhy": "why",
    "T +3\nwhy": "bash: bash session terminated\nwhy",
    "X +0\n": "bash command timed out after 120000ms",
    "I +0\n": "stopped",
    "L +3\nwhy": "Inspect the state before repeating.\nIts output until then:\nwhy",
    "E +0\n": "was not run: its disk is full",
    "nonsense +0\n": "may or may not have taken effect",
  };
  for (const [end, text] of Object.entries(ends)) {
    const calls = new RunnerCalls(await opened(fakeRelay((line) => anEnd(line, end))));
    await expect(calls.execute("bash", { command: "x" }, call("c1"))).rejects.toThrow(text);
  }
  const calls = new RunnerCalls(await opened(fakeRelay((line) => (line.startsWith("r ") ? "x c1\n" : null))));
  await expect(calls.execute("bash", { command: "x" }, call("c1"))).rejects.toThrow("was not run");
});

test("commands go one a line, whatever is in them, and long ones with their length", async () => {
  const relay = fakeRelay((line) => (line.startsWith("R ") ? "d c2 0 +0\n" : anEnd(line, "0 +0\n")));
  const calls = new RunnerCalls(await opened(relay));
  await calls.execute("bash", { command: "echo 'a\\n\n b'" }, call("c1"));
  expect(relay.sent).toEqual(["r c1 echo 'a\\\\n\\n b'"]);
  const long = `echo ${"é".repeat(17_000)}`;
  await calls.execute("bash", { command: long }, call("c2"));
  expect(relay.sent.slice(1)).toEqual([`R c2 ${5 + 34_000 + 14}`, `${long}#longhaul-end##longhaul-end#`]);
  await expect(calls.execute("bash", { command: "a\0b" }, call("c3"))).rejects.toThrow("NUL");
});

test("a channel that closes leaves nothing waiting, also what waits for its turn", async () => {
  const relay = fakeRelay();
  const client = await opened(relay);
  const calls = new RunnerCalls(client);
  const results = [
    calls.execute("bash", { command: "a" }, call("c1")),
    calls.execute("bash", { command: "b" }, call("c2")),
    ...Array.from({ length: 30 }, (_, i) => calls.execute("read", { file_path: "x" }, call(`r${i}`))),
  ];
  const settled = Promise.allSettled(results);
  await new Promise((resolve) => setTimeout(resolve, 5));
  relay.end();
  for (const result of await settled) {
    expect(result).toMatchObject({ status: "rejected", reason: { name: "ChannelClosed" } });
  }
  await expect(calls.execute("bash", { command: "c" }, call("c3"))).rejects.toBeInstanceOf(ChannelClosed);
});

test("frames are the same however they are cut", () => {
  const bytes = Buffer.from("d a 0 +5\na\nb\n\0p 1 ok =\nQUJD\nREVG\n.\nx b\np 2 ok /a b\n");
  const whole = new FrameReader().push(bytes);
  expect(whole.map(({ line, payload }) => [line, payload?.toString() ?? null])).toEqual([
    ["d a 0", "a\nb\n\0"],
    ["p 1 ok", "ABCDEF"],
    ["x b", null],
    ["p 2 ok /a b", null],
  ]);
  const reader = new FrameReader();
  expect([...bytes].flatMap((byte) => reader.push(Buffer.of(byte)))).toEqual(whole);
  expect(() => new FrameReader().push(Buffer.alloc(10_000))).toThrow(ProtocolError);
});

test("paths survive the wire", () => {
  for (const path of ["/a b", "/a\\n\nb", "/tab\tand\rmore", "/\\0040"]) {
    expect(escapePath(path)).not.toMatch(/[\s]/);
    expect(unescapePath(path.replaceAll("\\", "\\\\").replaceAll("\n", "\\n"))).toBe(path);
  }
});
