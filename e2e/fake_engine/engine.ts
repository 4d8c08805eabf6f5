/** A fake engine: the local API and the few contract calls that the interface makes, from made-up sessions. Development and tests only. */
import { randomUUID } from "node:crypto";
import { waitsForClient } from "../../main/contract/fold_calls.ts";
import type { Health, ListFrame } from "../../main/contract/local_api.ts";
import { sampleSnapshot } from "../../renderer/timeline/testing/log_builder.ts";
import { FakeSession } from "./fake_session.ts";
import { dockerSession, leftUnfinished, pulling } from "./sandbox_stories.ts";
import { codingTurn, endlessTurn, finishTurn } from "./scripts.ts";
import { long, STORIES } from "./stories.ts";

export interface Scene {
  /** Whether to begin with the made-up sessions. */
  stories: boolean;
  /** Events of an additional long session; 0 for none. */
  scale: number;
  /** Plain sessions, to fill the list. */
  fill: number;
  /** Health as on a machine with nothing set up. */
  bare: boolean;
}

type Record_ = Record<string, unknown> & { id: string };

export class FakeEngine {
  readonly sessions = new Map<string, FakeSession>();
  readonly agents: Record_[] = [];
  readonly environments: Record_[] = [];
  readonly listeners = new Set<(frame: ListFrame) => void>();
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
    if (scene.stories) {
      for (const { name, ago, story } of STORIES)
        story(this.#open(`sesn_${name.padStart(10, "0")}`, Date.now() - ago).log);
      const busy = this.#open("sesn_000000busy", Date.now() - 9 * 3_600_000);
      STORIES[0]?.story(busy.log);
      busy.log.now = Date.now() - 60_000;
      busy.log.add({ type: "session.updated", title: "Find what makes the suite slow" });
      busy.log.turn("Now find out what makes the suite slow.");
      void busy.play(endlessTurn);
      const slow = this.#open("sesn_000000pull", Date.now() - 4000);
      dockerSession(slow.log, "Run the suite in a container", "/home/ada/projects/app");
      slow.log.turn("Run the whole test suite and fix what fails.");
      void slow.play(pulling);
      // The same, left by an engine that is gone: nobody makes that sandbox now.
      const left = this.#open("sesn_000000left", Date.now() - 8_000_000);
      dockerSession(left.log, "Measure the cold start", "/home/ada/projects/app");
      left.log.turn("Measure the cold start ten times.");
      leftUnfinished(left.log);
    }
    if (scene.scale > 0) long(this.#open("sesn_000000long", Date.now() - 86_400_000).log, scene.scale);
    for (let i = 0; i < scene.fill; i++) {
      const session = this.#open(`sesn_fill${i}`, Date.now() - i * 4_000_000 - 100_000);
      session.log.create({ title: `Session ${i + 1}` }).turn("do something");
      session.log.answer(session.log.request(), { text: "Done." });
      session.log.idle();
    }
  }

  #open(id: string, start: number): FakeSession {
    const session = new FakeSession(id, start, (changed) => this.#changed(changed));
    this.sessions.set(id, session);
    return session;
  }

  #changed(session: FakeSession): void {
    const summary = session.summary();
    if (summary !== null) for (const listener of this.listeners) listener({ type: "summary", summary });
  }

  health(): Health {
    const bare = this.#scene.bare;
    return {
      version: "0.1.0",
      pid: process.pid,
      started_at: new Date().toISOString(),
      data_dir: "/home/ada/.local/share/longhaul",
      model: bare
        ? {
            state: "missing",
            summary: "no endpoint is configured",
            advice:
              "The offline demo works without one. Set ANTHROPIC_API_KEY (or ANTHROPIC_BASE_URL for a local model) and start Longhaul again.",
            source: "demo",
            endpoint: "http://127.0.0.1:41000",
          }
        : {
            state: "ok",
            summary: "answers, with the key from the environment",
            advice: null,
            source: "environment",
            endpoint: "https://api.anthropic.com",
          },
      sandbox: {
        state: bare ? "degraded" : "ok",
        summary: bare ? "the embedded sandbox, because no container engine answers" : "the embedded sandbox is ready",
        advice: bare
          ? "Shell, Python and JavaScript work; git, compilers and packages do not. Install Docker or Podman for real containers."
          : null,
        provider: "embedded",
      },
      keychain: {
        state: bare ? "missing" : "ok",
        summary: bare ? "no Secret Service answers" : "the system keychain is unlocked",
        advice: bare
          ? "Keys from the environment work without it; they cannot be saved. Install and unlock gnome-keyring to save them."
          : null,
      },
      ledger: { state: "ok", summary: "healthy", advice: null, sqlite: "3.51.3", sessions: this.sessions.size },
      auto_resume: true,
    };
  }

  createSession(body: Record<string, unknown>): Record<string, unknown> {
    const id = `sesn_${randomUUID().replaceAll("-", "").slice(0, 20).toUpperCase()}`;
    const session = this.#open(id, Date.now());
    const agent = this.agents.find((known) => known.id === body.agent);
    const snapshot = sampleSnapshot(id);
    const environment = this.environments.find((known) => known.id === body.environment_id);
    session.log.create({
      ...snapshot,
      title: typeof body.title === "string" ? body.title : null,
      agent: { ...snapshot.agent, ...(agent as object | undefined) },
      environment: { ...snapshot.environment, ...(environment as object | undefined) },
      resources: (Array.isArray(body.resources) ? body.resources : []).map((resource, index) => ({
        ...resource,
        id: `sesrsc_${index}`,
        mount_path: `/workspace/${String(resource.path).split("/").at(-1)}`,
      })),
    });
    for (const event of Array.isArray(body.initial_events) ? body.initial_events : []) session.log.add(event);
    this.#wake(session);
    return { id, type: "session", status: "running" };
  }

  /** Takes events of a client, as the events route does. */
  receive(session: FakeSession, events: Record<string, unknown>[]): Record<string, unknown>[] {
    session.log.now = Date.now();
    for (const event of events) {
      session.log.add(event as never);
      if (event.type === "user.interrupt") this.#interrupt(session);
    }
    const stopped = events.some((event) => event.type === "user.interrupt");
    if (session.activity !== "running" && !stopped) this.#wake(session);
    return events;
  }

  #interrupt(session: FakeSession): void {
    session.stop();
    const { log, fold } = session;
    if (fold?.model_request) {
      log.add({
        type: "longhaul.model_request_abandoned",
        model_request_start_id: fold.model_request.id,
        cause: "interrupted",
      });
    }
    for (const call of fold?.calls ?? []) {
      log.result(call.id, "Tool execution was interrupted before completion. Please retry.", true);
      log.add({ type: "longhaul.call_settled", tool_use_id: call.id, how: "interrupted" });
    }
    const ids = (session.fold?.inputs ?? [])
      .filter((input) => input.type === "user.interrupt")
      .map((input) => input.id);
    log.add({ type: "longhaul.inputs_consumed", event_ids: ids });
    log.idle();
    session.setActivity(null);
  }

  resume(session: FakeSession): void {
    session.log.now = Date.now();
    session.log.add({ type: "longhaul.resume_requested", by: "user" });
    this.#wake(session);
  }

  #wake(session: FakeSession): void {
    const { log } = session;
    log.now = Date.now();
    const open = (session.fold?.calls ?? []).filter((call) => !waitsForClient(call));
    const waiting = (session.fold?.calls ?? []).some(waitsForClient);
    if (waiting) return;
    log.wake("client_event", process.pid);
    const ids = (session.fold?.inputs ?? []).map((input) => input.id);
    if (ids.length > 0) log.add({ type: "longhaul.inputs_consumed", event_ids: ids });
    const first = open[0];
    if (session.fold?.model_request) {
      log.add({
        type: "longhaul.model_request_abandoned",
        model_request_start_id: session.fold.model_request.id,
        cause: "cut_off",
      });
    }
    void session
      .play(async (step) => {
        if (first === undefined) return codingTurn(step);
        for (const call of open.slice(1)) {
          if (call.confirmation?.result === "deny") {
            log.result(call.id, "The user rejected this call.", true);
            log.add({ type: "longhaul.call_settled", tool_use_id: call.id, how: "denied" });
          } else await step.execute(call.id, ["done"], 50);
        }
        await finishTurn(step, first.id);
      })
      .then(() => {
        if (session.activity === null && session.fold?.phase === "idle" && session.fold.inputs.length > 0)
          this.#wake(session);
      });
  }

  /** The request that a span was sent with: made up, in the right shape. */
  requestContext(session: FakeSession, span: string): Record<string, unknown> {
    const messages = session.log.events.flatMap(({ event }): { role: string; content: unknown }[] => {
      if (event.type === "user.message") return [{ role: "user", content: event.content }];
      if (event.type === "agent.message") return [{ role: "assistant", content: event.content }];
      if (event.type === "agent.tool_use")
        return [
          { role: "assistant", content: [{ type: "tool_use", id: event.id, name: event.name, input: event.input }] },
        ];
      if (event.type === "agent.tool_result")
        return [
          { role: "user", content: [{ type: "tool_result", tool_use_id: event.tool_use_id, content: event.content }] },
        ];
      return [];
    });
    const tools = ["bash", "read", "write", "edit", "glob", "grep"].map((name) => ({
      name,
      description: `Runs ${name}.`,
      input_schema: { type: "object" },
    }));
    const request = {
      model: "claude-sonnet-5-5",
      max_tokens: 32_000,
      system: [{ type: "text", text: "You are a careful software engineer.", cache_control: { type: "ephemeral" } }],
      tools,
      messages,
      stream: true,
    };
    const body = JSON.stringify(request);
    return {
      model_request_start_id: span,
      request,
      bytes: body.length,
      sha256: "7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730",
      matches: !span.endsWith("3"),
    };
  }
}
