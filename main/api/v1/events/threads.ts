/** `/v1/sessions/{id}/threads`: the primary thread and those that agents have spawned. */
import type { BetaManagedAgentsSessionThread } from "@anthropic-ai/sdk/resources/beta/sessions/threads";
import { z } from "zod";
import { threadCost } from "../../../contract/cost/cost.ts";
import { invalid, notFound } from "../../../contract/errors.ts";
import type { SessionStatus } from "../../../contract/events.ts";
import { archivedReport } from "../../../contract/threads/archived.ts";
import type { ChildThread, ThreadState } from "../../../contract/threads/state.ts";
import { threadWork } from "../../../contract/work.ts";
import type { SessionRecord } from "../../../session/ledger.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { decodeCursor, encodeCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { activeSeconds, durationSeconds, existingSession, isOver, statusOf, usageOf } from "../sessions/session.ts";
import { listEvents } from "./list.ts";
import { streamEvents } from "./stream.ts";

const STATUSES = ["running", "idle", "rescheduling", "terminated"] as const;
const threadCursor = z.strictObject({ after_thread: z.string().min(1).max(128) });

export function mountThreads(api: Api, deps: Deps): void {
  api.get("/v1/sessions/:id/threads", async (c) => {
    const query = new Query(c);
    const statuses = query.choices("statuses", STATUSES, 100);
    const limit = pageLimit(query);
    const page = query.text("page");
    const all = threadsOf(deps, await existingSession(deps, param(c, "id")));
    const after = page === undefined ? null : decodeCursor(threadCursor, page).after_thread;
    const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const listed = all.slice(from).filter(({ status }) => statuses.length === 0 || statuses.includes(status));
    const data = listed.slice(0, limit);
    const last = data.at(-1);
    const more = listed.length > limit && last !== undefined;
    return c.json({ data, next_page: more ? encodeCursor({ after_thread: last.id }) : null });
  });

  api.get("/v1/sessions/:id/threads/:thread", async (c) => c.json(await existingThread(c, deps)));

  api.post("/v1/sessions/:id/threads/:thread/archive", async (c) => {
    const id = param(c, "id");
    const wakes = await deps.serial.run(id, async () => {
      const thread = await existingThread(c, deps);
      if (thread.parent_thread_id === null) {
        invalid("The primary thread cannot be archived by itself. Archive the session.");
      }
      if (thread.archived_at !== null) return false;
      if (thread.status === "running" || thread.status === "rescheduling") {
        invalid(
          `Cannot archive thread ${thread.id} while it is ${thread.status}. Send a user.interrupt that names it and wait until it is idle.`,
        );
      }
      const agent_name = thread.agent.type === "advisor" ? "anthropic.advisor" : thread.agent.name;
      const report = archivedReport((await existingSession(deps, id)).fold, thread.id);
      await deps.ledger.emitEvents(id, [
        ...report,
        { type: "session.thread_status_terminated", agent_name, session_thread_id: thread.id },
      ]);
      const waited = (await existingSession(deps, id)).fold.stop_reason?.type === "requires_action";
      return waited || report.length > 0;
    });
    // The session may have waited for what this thread asked: it says again what is left of that. A parent that is told
    // goes on.
    if (wakes) await deps.orchestrator.wake(id, "client_event");
    return c.json(await existingThread(c, deps));
  });

  api.get("/v1/sessions/:id/threads/:thread/events", async (c) => {
    return listEvents(c, deps, (await existingThread(c, deps)).id);
  });

  api.get("/v1/sessions/:id/threads/:thread/stream", async (c) => {
    return streamEvents(c, deps, (await existingThread(c, deps)).id);
  });
}

async function existingThread(c: ApiContext, deps: Deps): Promise<BetaManagedAgentsSessionThread> {
  const id = param(c, "thread");
  const threads = threadsOf(deps, await existingSession(deps, param(c, "id")));
  return threads.find((thread) => thread.id === id) ?? notFound("Thread", id);
}

/** All threads of a session, the primary one first, then in order of creation. */
function threadsOf(deps: Deps, record: SessionRecord): BetaManagedAgentsSessionThread[] {
  return [primaryThread(deps, record), ...record.fold.threads.map((child) => childThread(deps, record, child))];
}

function primaryThread(deps: Deps, record: SessionRecord): BetaManagedAgentsSessionThread {
  const { fold } = record;
  const own = { ...fold, ...fold.primary };
  const status = isOver(fold) ? "terminated" : threadStatus(deps, record, own);
  const now = deps.now();
  const active_seconds = activeSeconds(own, status, now);
  const { multiagent: _, ...agent } = fold.agent;
  const ran = fold.turns > 0;
  return {
    id: fold.primary_thread_id,
    type: "session_thread",
    session_id: record.id,
    parent_thread_id: null,
    workflow_run_id: null,
    agent,
    status,
    stats: ran ? { active_seconds, duration_seconds: durationSeconds(fold, now), startup_seconds: 0 } : null,
    usage: hasRested(own, fold.turns) ? usageOf(own.usage, active_seconds, threadCost(own.cost)) : null,
    created_at: fold.created_at,
    updated_at: fold.updated_at,
    archived_at: fold.archived_at,
  };
}

function childThread(deps: Deps, record: SessionRecord, child: ChildThread): BetaManagedAgentsSessionThread {
  const archived_at = child.archived_at ?? record.fold.archived_at;
  const status = archived_at === null ? threadStatus(deps, record, child) : "terminated";
  const now = deps.now();
  const active_seconds = activeSeconds(child, status, now);
  const end = archived_at === null ? now : Date.parse(archived_at);
  const duration_seconds = Math.round(Math.max(0, end - Date.parse(child.created_at)) / 100) / 10;
  const ran = child.turns > 0;
  return {
    id: child.id,
    type: "session_thread",
    session_id: record.id,
    parent_thread_id: child.parent_thread_id,
    workflow_run_id: null,
    agent: child.agent,
    status,
    stats: ran ? { active_seconds, duration_seconds, startup_seconds: 0 } : null,
    usage: hasRested(child, child.turns) ? usageOf(child.usage, active_seconds, threadCost(child.cost)) : null,
    created_at: child.created_at,
    updated_at: child.updated_at,
    archived_at,
  };
}

/** True once the thread has been idle after work: from then on the contract tells what it used. */
function hasRested({ stop_reason, phase }: ThreadState, turns: number): boolean {
  return stop_reason !== null || phase === "terminated" || turns > 1;
}

/** Like the session's: a thread runs only while a live process holds the session and the thread has something to do. */
function threadStatus(deps: Deps, record: SessionRecord, thread: ThreadState): SessionStatus {
  if (thread.phase === "terminated") return "terminated";
  const held = statusOf(deps, record) === "running";
  if (held && (thread.phase === "running" || threadWork(thread, deps.now()) === "now")) return "running";
  return thread.phase === "rescheduling" ? "rescheduling" : "idle";
}
