/** Masks known secret values in live frames, across the pieces in which an answer or an output comes. */
import type { SecretScanner } from "../../contract/secrets/scanner.ts";
import { StreamMask } from "../../contract/secrets/stream_mask.ts";
import type { LiveFrame } from "../live.ts";

/** Milliseconds after which what was held back is shown, because nothing more came: a person waits for it. */
const QUIET_MS = 100;
/** Outputs followed at once; of an older one no more is expected. */
const MAX_STREAMS = 256;

interface Stream {
  session_id: string;
  /** Of a preview: its end is told. */
  thread_id: string | null;
  mask: StreamMask;
  /** Must keep nothing of the frame that began the stream: what was in it would stay in memory. */
  frameOf: (text: string) => LiveFrame;
  timer: NodeJS.Timeout | null;
}

export class LiveMask {
  readonly #scanner: SecretScanner;
  readonly #emit: (sessionId: string, frame: LiveFrame) => void;
  readonly #streams = new Map<string, Stream>();

  /** @param emit takes what may be shown, in order */
  constructor(scanner: SecretScanner, emit: (sessionId: string, frame: LiveFrame) => void) {
    this.#scanner = scanner;
    this.#emit = emit;
  }

  pass(sessionId: string, frame: LiveFrame): void {
    if (frame.type === "sandbox_progress") {
      return this.#emit(sessionId, { ...frame, text: this.#scanner.mask(frame.text) });
    }
    if (frame.type === "tool_output") {
      const { type, tool_use_id, chunk: piece } = frame;
      return this.#push(sessionId, null, tool_use_id, piece, (chunk) => ({ type, tool_use_id, chunk }));
    }
    const { thread_id, frame: preview } = frame;
    if (preview.type === "event_start") return this.#emit(sessionId, frame);
    const { event_id, delta } = preview;
    const { index } = delta;
    this.#push(sessionId, thread_id, event_id, delta.content.text, (text) => ({
      type: "preview",
      thread_id,
      frame: {
        type: "event_delta",
        event_id,
        delta: { type: "content_delta", index, content: { type: "text", text } },
      },
    }));
  }

  /** The thread's answer has ended: shows what is left of it. */
  ended(sessionId: string, threadId: string): void {
    for (const [key, stream] of this.#streams) {
      if (stream.session_id === sessionId && stream.thread_id === threadId) this.#end(key, stream);
    }
  }

  #push(
    session_id: string,
    thread_id: string | null,
    id: string,
    piece: string,
    frameOf: (text: string) => LiveFrame,
  ): void {
    const key = `${session_id} ${id}`;
    let stream = this.#streams.get(key);
    if (stream === undefined) {
      stream = { session_id, thread_id, mask: new StreamMask(this.#scanner), frameOf, timer: null };
      this.#streams.set(key, stream);
      const [oldest] = this.#streams;
      if (this.#streams.size > MAX_STREAMS && oldest !== undefined) this.#end(...oldest);
    }
    this.#show(stream, stream.mask.push(piece));
    const later = (): void => this.#show(stream, stream.mask.pause());
    if (stream.timer === null) stream.timer = setTimeout(later, QUIET_MS).unref();
    else stream.timer.refresh();
  }

  #end(key: string, stream: Stream): void {
    this.#streams.delete(key);
    if (stream.timer !== null) clearTimeout(stream.timer);
    this.#show(stream, stream.mask.end());
  }

  #show(stream: Stream, text: string): void {
    if (text !== "") this.#emit(stream.session_id, stream.frameOf(text));
  }
}
