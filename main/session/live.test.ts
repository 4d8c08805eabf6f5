import { expect, test } from "vitest";
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

test("an answer that has ended is not caught up with, and sessions do not see each other", () => {
  const live = new LiveDeltas();
  live.publish("s", start("m"));
  live.ended("s", "sthr_1");
  const joined: LiveFrame[] = [];
  live.join("s", (frame) => joined.push(frame));
  live.publish("other", start("x"));
  expect(joined).toEqual([]);
});
