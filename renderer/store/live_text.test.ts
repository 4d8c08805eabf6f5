import { describe, expect, it } from "vitest";
import type { LedgerEvent } from "../../main/contract/events.ts";
import { LiveText } from "./live_text.ts";

const start = (live: LiveText, id: string): void =>
  live.preview({ type: "event_start", event: { type: "agent.message", id } }, "sthr_1");
const delta = (live: LiveText, id: string, text: string): void =>
  live.preview(
    { type: "event_delta", event_id: id, delta: { type: "content_delta", index: 0, content: { type: "text", text } } },
    "sthr_1",
  );
const event = (fields: object, thread_id = "sthr_1") => ({ thread_id, event: fields as LedgerEvent });

describe("live text", () => {
  it("grows until the stored event with its id replaces it", () => {
    const live = new LiveText();
    start(live, "a");
    delta(live, "a", "Hel");
    delta(live, "a", "lo");
    delta(live, "unknown", "x");
    expect(live.previews).toEqual([{ id: "a", thread: "sthr_1", kind: "message", text: "Hello" }]);
    live.settle(event({ type: "agent.message", id: "a" }));
    expect(live.previews).toEqual([]);
  });

  it("goes with its request when that dies, not with another thread's", () => {
    const live = new LiveText();
    start(live, "a");
    live.settle(event({ type: "span.model_request_end", id: "e" }, "sthr_2"));
    expect(live.previews).toHaveLength(1);
    live.settle(event({ type: "span.model_request_end", id: "e" }));
    expect(live.previews).toEqual([]);
  });

  it("keeps the end of long output and drops it with the result", () => {
    const live = new LiveText();
    for (let line = 0; line < 20_000; line++) live.output("call", `line ${line}\n`);
    const text = live.outputs.get("call") ?? "";
    expect(text.length).toBeLessThanOrEqual(64_000);
    expect(text.endsWith("line 19999\n")).toBe(true);
    expect(text.startsWith("line ")).toBe(true);
    live.settle(event({ type: "agent.tool_result", tool_use_id: "call" }));
    expect(live.outputs.size).toBe(0);
  });
});
