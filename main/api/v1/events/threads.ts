/** `/v1/sessions/{id}/threads`: every session has one thread in this version, the primary one. */
import type { BetaManagedAgentsSessionThread } from "@anthropic-ai/sdk/resources/beta/sessions/threads";
import { invalid, notFound } from "../../../contract/errors.ts";
import type { SessionRecord } from "../../../session/ledger.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { Query } from "../../http/query.ts";
import { activeSeconds, durationSeconds, existingSession, statusOf, usageOf } from "../sessions/session.ts";
import { listEvents } from "./list.ts";
import { streamEvents } from "./stream.ts";

const STATUSES = ["running", "idle", "rescheduling", "terminated"] as const;

export function mountThreads(api: Api, deps: Deps): void {
  api.get("/v1/sessions/:id/threads", async (c) => {
    const statuses = new Query(c).choices("statuses", STATUSES, 100);
    const thread = primaryThread(deps, await existingSession(deps, param(c, "id")));
    const listed = statuses.length === 0 || statuses.includes(thread.status);
    return c.json({ data: listed ? [thread] : [], next_page: null });
  });

  api.get("/v1/sessions/:id/threads/:thread", async (c) => c.json(await existingThread(c, deps)));

  api.post("/v1/sessions/:id/threads/:thread/archive", async (c) => {
    await existingThread(c, deps);
    return invalid("The primary thread cannot be archived by itself. Archive the session.");
  });

  api.get("/v1/sessions/:id/threads/:thread/events", async (c) => {
    await existingThread(c, deps);
    return listEvents(c, deps);
  });

  api.get("/v1/sessions/:id/threads/:thread/stream", async (c) => {
    await existingThread(c, deps);
    return streamEvents(c, deps);
  });
}

async function existingThread(c: ApiContext, deps: Deps): Promise<BetaManagedAgentsSessionThread> {
  const record = await existingSession(deps, param(c, "id"));
  const id = param(c, "thread");
  return record.fold.primary_thread_id === id ? primaryThread(deps, record) : notFound("Thread", id);
}

function primaryThread(deps: Deps, record: SessionRecord): BetaManagedAgentsSessionThread {
  const { fold } = record;
  const status = statusOf(deps, record);
  const now = deps.now();
  const active_seconds = activeSeconds(fold, status, now);
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
    usage: ran ? usageOf(fold, active_seconds) : null,
    created_at: fold.created_at,
    updated_at: fold.updated_at,
    archived_at: fold.archived_at,
  };
}
