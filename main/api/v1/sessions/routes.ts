/** `/v1/sessions/{id}`: retrieve, update, archive, delete. */
import { isDeepStrictEqual } from "node:util";
import { invalid } from "../../../contract/errors.ts";
import type { EventDraft } from "../../../contract/events.ts";
import type { SessionFold } from "../../../contract/fold.ts";
import { interruptedOutcome } from "../../../contract/outcome/ends.ts";
import { METADATA_CODES } from "../../../contract/schemas/primitives.ts";
import { type SessionUpdate, sessionUpdate } from "../../../contract/schemas/sessions.ts";
import { liveThreads, threadFold } from "../../../contract/threads/view.ts";
import { RemovedOutputs } from "../../../session/records/removed_outputs.ts";
import { readBody } from "../../http/body.ts";
import { type Api, type Deps, param } from "../../http/context.ts";
import { patchedMetadata } from "../agents/agent.ts";
import { checkSkillTools } from "../agents/skills.ts";
import { checkMcpReferences, materialiseTools } from "../agents/tools.ts";
import { forgetTokens } from "../vaults/repository_tokens.ts";
import { changedBudget } from "./budget.ts";
import { apiSession, existingSession, isOver, statusOf } from "./session.ts";

const FILES_AT_ONCE = 1000;

export function mountSessions(api: Api, deps: Deps): void {
  const { ledger, serial } = deps;

  api.get("/v1/sessions/:id", async (c) => c.json(await apiSession(deps, await existingSession(deps, param(c, "id")))));

  api.post("/v1/sessions/:id", async (c) => {
    const id = param(c, "id");
    const params = await readBody(c, sessionUpdate, METADATA_CODES);
    await serial.run(id, async () => {
      const record = await existingSession(deps, id);
      if (isOver(record.fold)) invalid(`Session ${id} is over and read-only. Create a new session.`);
      if (params.agent !== undefined && statusOf(deps, record) !== "idle") {
        invalid(
          "`agent` can only be changed while the session is idle. Send an interrupt event or wait for the session to complete.",
        );
      }
      const event = updateEvent(deps, record.fold, params);
      if (event !== null) await ledger.emitEvent(id, event);
    });
    // A budget that was used up stopped the session: raised or removed, it goes on.
    if (params.budget !== undefined) await deps.orchestrator.wake(id, "client_event");
    return c.json(await apiSession(deps, await existingSession(deps, id)));
  });

  api.post("/v1/sessions/:id/archive", async (c) => {
    const id = param(c, "id");
    await serial.run(id, async () => {
      const record = await existingSession(deps, id);
      // An earlier archiving may have been cut off before it came to the tokens.
      if (record.fold.archived_at !== null) return forgetTokens(deps, id);
      refuseWhileRunning(deps, record, "archive");
      const over: EventDraft[] = liveThreads(record.fold).map((threadId) => {
        const agent_name = threadFold(record.fold, threadId).agent.name;
        return { type: "session.thread_status_terminated", agent_name, session_thread_id: threadId };
      });
      over.push({ type: "session.status_terminated" });
      const terminated = record.fold.phase === "terminated";
      const ended = interruptedOutcome(record.fold, record.last_seq);
      await ledger.emitEvents(id, [...ended, { type: "longhaul.session_archived" }, ...(terminated ? [] : over)]);
      await deps.revokeCapability(id);
      await forgetTokens(deps, id);
    });
    return c.json(await apiSession(deps, await existingSession(deps, id)));
  });

  api.delete("/v1/sessions/:id", async (c) => {
    const id = param(c, "id");
    await serial.run(id, async () => {
      const record = await existingSession(deps, id);
      refuseWhileRunning(deps, record, "delete");
      // Streams end with this event; nothing of the session can be read after the rows are gone.
      await ledger.emitEvent(id, { type: "session.deleted" });
      await ledger.deleteSession(id);
      await cleanUp(deps, record.fold, c.get("requestId"));
    });
    return c.json({ id, type: "session_deleted" });
  });
}

type Refusable = Parameters<typeof statusOf>[1];

function refuseWhileRunning(deps: Deps, record: Refusable, verb: "archive" | "delete"): void {
  if (statusOf(deps, record) !== "running") return;
  invalid(`Cannot ${verb} session while it is running. Send an interrupt event or wait for the session to complete.`);
}

/** The session is gone already: what cannot be removed now is reported and left to the janitor, not to the caller. */
async function cleanUp(deps: Deps, fold: SessionFold, requestId: string): Promise<void> {
  const id = fold.session_id;
  const removeFiles = async () => {
    for (;;) {
      const files = await deps.catalog.listFiles({ scope_id: id, limit: FILES_AT_ONCE });
      for (const file of files) await deps.catalog.deleteFile(file.id);
      if (files.length < FILES_AT_ONCE) return;
    }
  };
  const results = await Promise.allSettled([
    deps.revokeCapability(id),
    deps.destroySandbox(fold),
    removeFiles(),
    new RemovedOutputs(deps.records).forget(id),
    forgetTokens(deps, id),
  ]);
  for (const result of results) {
    if (result.status === "fulfilled") continue;
    deps.reportFailure?.({ request_id: requestId, method: "DELETE", path: "/v1/sessions/:id", error: result.reason });
  }
}

/** The `session.updated` event with only what changes; null when nothing does. */
function updateEvent(deps: Deps, fold: SessionFold, params: SessionUpdate): EventDraft | null {
  const changes: Partial<Pick<SessionFold, "title" | "metadata" | "agent" | "budget">> = {};
  if (params.budget !== undefined) {
    const budget = changedBudget(deps.prices(), fold, params.budget, deps.now());
    if (!isDeepStrictEqual(budget, fold.budget)) changes.budget = budget;
  }
  if (params.title !== undefined && params.title !== fold.title) changes.title = params.title;
  if (params.metadata != null) {
    const merged = patchedMetadata(fold.metadata, params.metadata);
    if (!isDeepStrictEqual(merged, fold.metadata)) changes.metadata = merged;
  }
  if (params.agent !== undefined) {
    const agent = { ...fold.agent };
    if (params.agent.tools !== undefined) agent.tools = materialiseTools(params.agent.tools);
    if (params.agent.mcp_servers !== undefined) agent.mcp_servers = params.agent.mcp_servers;
    checkMcpReferences(agent.tools, agent.mcp_servers);
    checkSkillTools(agent.tools, agent.skills);
    if (!isDeepStrictEqual(agent, fold.agent)) changes.agent = agent;
  }
  return Object.keys(changes).length === 0 ? null : { type: "session.updated", ...changes };
}
