/** What streams before it is stored: the text of an answer, and the output of tools that run. Bounded, never kept. */
import type { StoredEvent } from "../../main/contract/events.ts";
import { answeredCall } from "../../main/contract/fold_calls.ts";
import type { PreviewFrame } from "../../main/contract/local_api.ts";
import { firstLine } from "../timeline/content.ts";

/** Characters kept per stream: the end is what is being watched. */
const MAX_CHARS = 64_000;

export interface Preview {
  id: string;
  /** Id of the thread whose answer it is part of. */
  thread: string;
  kind: "message" | "thinking";
  text: string;
}

export class LiveText {
  /** Parts of the answer that streams now, in order. */
  previews: readonly Preview[] = [];
  /** Tool-use event id → the end of its output so far. */
  outputs: ReadonlyMap<string, string> = new Map();
  /** What the provisioning under way does now; null when nothing was said. */
  sandboxProgress: string | null = null;

  preview(frame: PreviewFrame, thread: string): void {
    if (frame.type === "event_start") {
      const kind = frame.event.type === "agent.thinking" ? "thinking" : "message";
      // After a reconnect the engine sends the answer in flight again from its beginning.
      const others = this.previews.filter((preview) => preview.id !== frame.event.id);
      this.previews = [...others, { id: frame.event.id, thread, kind, text: "" }];
      return;
    }
    const { text } = frame.delta.content;
    this.previews = this.previews.map((preview) =>
      preview.id === frame.event_id ? { ...preview, text: tail(preview.text + text) } : preview,
    );
  }

  output(call: string, chunk: string): void {
    this.outputs = new Map(this.outputs).set(call, tail((this.outputs.get(call) ?? "") + chunk));
  }

  progress(text: string): void {
    this.sandboxProgress = firstLine(text) || null;
  }

  /** Forgets what a stored event makes final. */
  settle({ event, thread_id }: Pick<StoredEvent, "event" | "thread_id">): void {
    switch (event.type) {
      case "agent.message":
      case "agent.thinking":
        this.previews = this.previews.filter((preview) => preview.id !== event.id);
        return;
      case "span.model_request_start":
      case "span.model_request_end":
      case "longhaul.model_request_abandoned":
        if (this.previews.length > 0) this.previews = this.previews.filter(({ thread }) => thread !== thread_id);
        return;
      case "longhaul.sandbox_provisioning":
      case "longhaul.sandbox_step":
      case "longhaul.sandbox_ready":
      case "longhaul.sandbox_lost":
        this.sandboxProgress = null;
        return;
      case "agent.tool_result":
      case "agent.mcp_tool_result":
      case "user.custom_tool_result":
      case "user.tool_result":
        this.#drop(answeredCall(event));
    }
  }

  #drop(call: string): void {
    if (!this.outputs.has(call)) return;
    const outputs = new Map(this.outputs);
    outputs.delete(call);
    this.outputs = outputs;
  }

  clear(): void {
    this.previews = [];
    this.outputs = new Map();
    this.sandboxProgress = null;
  }
}

function tail(text: string): string {
  return text.length <= MAX_CHARS ? text : text.slice(-MAX_CHARS / 2).replace(/^[^\n]*\n/, "");
}
