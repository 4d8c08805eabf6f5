import { expect, test, vi } from "vitest";
import { knownSecrets } from "../contract/secrets/testing/known.ts";
import { LiveDeltas, type LiveFrame } from "./live.ts";

const start = (id: string): LiveFrame => ({
  type: "preview",
  thread_id: "sthr_1",
  frame: { type: "event_start", event: { type: "agent.message", id } },
});
const delta = (id: string, text: string): LiveFrame => ({
  type: "preview",
  thread_id: "sthr_1",
  frame: {
    type: "event_delta",
    event_id: id,
    delta: { type: "content_delta", index: 0, content: { type: "text", text } },
  },
});

test("a watcher gets frames from now on, a joiner also what has streamed of the answer in flight", () => {
  const live = new LiveDeltas();
  live.publish("s", start("m"));
  live.publish("s", delta("m", "Hel"));
  live.publish("s", delta("m", "lo"));
  const watched: LiveFrame[] = [];
  const joined: LiveFrame[] = [];
  live.watch("s", (frame) => watched.push(frame));
  const leave = live.join("s", (frame) => joined.push(frame));
  live.publish("s", delta("m", "!"));
  expect(watched).toEqual([delta("m", "!")]);
  expect(joined).toEqual([start("m"), delta("m", "Hello"), delta("m", "!")]);
  leave();
  live.publish("s", delta("m", "?"));
  expect(joined).toHaveLength(3);
});

const textOf = (frames: readonly LiveFrame[]): string =>
  frames
    .map((frame) => {
      if (frame.type === "tool_output") return frame.chunk;
      if (frame.type === "sandbox_progress") return frame.text;
      return frame.frame.type === "event_delta" ? frame.frame.delta.content.text : "";
    })
    .join("");

test("a secret value is seen by no watcher and no joiner, in whatever pieces it comes", () => {
  const secret = "canary-Zq8vL2mN4xR7tY1wB5";
  const stars = "*".repeat(secret.length);
  for (const size of [1, 3, 8, 100]) {
    const live = new LiveDeltas(knownSecrets(secret));
    const watched: LiveFrame[] = [];
    live.watch("s", (frame) => watched.push(frame));
    live.publish("s", start("m"));
    const text = `It is ${secret}, yes.`;
    for (let at = 0; at < text.length; at += size) live.publish("s", delta("m", text.slice(at, at + size)));
    const joined: LiveFrame[] = [];
    live.join("s", (frame) => joined.push(frame));
    live.ended("s", "sthr_1");
    expect(textOf(watched)).toBe(`It is ${stars}, yes.`);
    expect(textOf(joined)).toBe(`It is ${stars}, yes.`);
    expect(watched.at(-1)).toEqual(delta("m", expect.any(String) as unknown as string));
  }
});

test("of an output the last letters come when nothing more does, and outputs of two calls do not mix", async () => {
  vi.useFakeTimers();
  try {
    const secret = "canary-Zq8vL2mN4xR7tY1wB5";
    const live = new LiveDeltas(knownSecrets(secret));
    const watched: LiveFrame[] = [];
    live.watch("s", (frame) => watched.push(frame));
    const output = (id: string, chunk: string): void =>
      live.publish("s", { type: "tool_output", tool_use_id: id, chunk });
    output("a", "It started\n");
    expect(textOf(watched)).toBe("It ");
    await vi.advanceTimersByTimeAsync(1_000);
    expect(textOf(watched)).toBe("It started\n");
    output("a", secret.slice(0, 10));
    output("b", secret.slice(10));
    await vi.advanceTimersByTimeAsync(1_000);
    // Its first half may be a value's beginning and stays away; the other half is nothing by itself.
    expect(textOf(watched)).toBe(`It started\n${secret.slice(10)}`);
    live.publish("s", { type: "sandbox_progress", text: `pulling ${secret}` });
    expect(watched.at(-1)).toEqual({ type: "sandbox_progress", text: `pulling ${"*".repeat(secret.length)}` });
  } finally {
    vi.useRealTimers();
  }
});

test("an answer that has ended is not caught up with, and sessions do not see each other", () => {
  const live = new LiveDeltas();
  live.publish("s", start("m"));
  live.ended("s", "sthr_1");
  const joined: LiveFrame[] = [];
  live.join("s", (frame) => joined.push(frame));
  live.publish("other", start("x"));
  expect(joined).toEqual([]);
});
