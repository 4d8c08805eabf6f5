/** One session of the fake engine: its events, who watches, and a script that plays when it is woken. */
import type { StoredEvent } from "../../main/contract/events.ts";
import { foldEvent, type SessionFold } from "../../main/contract/fold.ts";
import type { Activity, SessionSummary, TimelineFrame } from "../../main/contract/local_api.ts";
import { unfinishedWork } from "../../main/contract/work.ts";
import { LogBuilder } from "../../renderer/timeline/testing/log_builder.ts";

type Watcher = (frame: TimelineFrame) => void;

export class FakeSession {
  readonly id: string;
  readonly log: LogBuilder;
  fold: SessionFold | null = null;
  activity: Activity = null;
  readonly watchers = new Set<Watcher>();
  readonly #onChange: (session: FakeSession) => void;
  #run = 0;

  constructor(id: string, start: number, onChange: (session: FakeSession) => void) {
    this.id = id;
    this.#onChange = onChange;
    this.log = new LogBuilder(id, start, (stored) => this.#appended(stored));
  }

  #appended(stored: StoredEvent): void {
    this.fold = foldEvent(this.fold, stored);
    this.send({ type: "stored", stored });
    this.#onChange(this);
  }

  send(frame: TimelineFrame): void {
    for (const watcher of this.watchers) watcher(frame);
  }

  summary(): SessionSummary | null {
    if (this.fold === null) return null;
    return { id: this.id, fold: this.fold, activity: this.activity, work: unfinishedWork(this.fold) };
  }

  setActivity(activity: Activity): void {
    this.activity = activity;
    const summary = this.summary();
    if (summary !== null) this.send({ type: "activity", activity, work: summary.work });
    this.#onChange(this);
  }

  /** Plays a script; a newer script or {@link stop} ends it at its next pause. */
  async play(script: (step: Step) => Promise<void>): Promise<void> {
    this.#run += 1;
    const run = this.#run;
    this.log.now = Date.now();
    this.setActivity("running");
    const pause = async (ms: number): Promise<void> => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (this.#run !== run) throw new Stopped();
      this.log.now = Date.now();
    };
    try {
      await script(new Step(this, pause));
    } catch (error) {
      if (!(error instanceof Stopped)) throw error;
    }
    if (this.#run === run) this.setActivity(null);
  }

  stop(): void {
    this.#run += 1;
    this.log.now = Date.now();
  }
}

class Stopped extends Error {}

/** What a script can do in real time. */
export class Step {
  readonly session: FakeSession;
  readonly pause: (ms: number) => Promise<void>;

  constructor(session: FakeSession, pause: (ms: number) => Promise<void>) {
    this.session = session;
    this.pause = pause;
  }

  get log(): LogBuilder {
    return this.session.log;
  }

  /** A model request whose text streams. */
  async say(
    text: string,
    calls: { name: string; input: Record<string, unknown>; ask?: boolean }[] = [],
    speedMs = 35,
  ): Promise<string[]> {
    const { log, session } = this;
    const span = log.request(2 + log.events.length / 6);
    await this.pause(500);
    const id = `sevt_live${log.events.length}x${Math.random().toString(36).slice(2, 10)}`;
    const thread_id = session.fold?.primary_thread_id ?? "";
    if (text !== "") {
      session.send({
        type: "preview",
        thread_id,
        frame: { type: "event_start", event: { type: "agent.message", id } },
      });
      for (const word of text.match(/\S+\s*/g) ?? []) {
        await this.pause(speedMs);
        const delta = { type: "content_delta" as const, index: 0, content: { type: "text" as const, text: word } };
        session.send({ type: "preview", thread_id, frame: { type: "event_delta", event_id: id, delta } });
      }
    }
    return log.answer(span, {
      id,
      text: text === "" ? null : text,
      calls,
      demo: session.fold?.agent.model.id === "longhaul-demo",
    });
  }

  /** A call whose output streams. */
  async execute(call: string, lines: string[], everyMs: number, isError = false): Promise<void> {
    this.log.start(call);
    for (const line of lines) {
      await this.pause(everyMs);
      this.session.send({ type: "tool_output", tool_use_id: call, chunk: `${line}\n` });
    }
    this.log.result(call, lines.join("\n"), isError);
  }
}
