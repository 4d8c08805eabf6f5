/** A session as one of its threads sees it: what the harness decides and builds requests from. */
import type { SessionAgent } from "../events.ts";
import type { SessionFold } from "../fold.ts";
import type { OpenCall } from "../fold_calls.ts";
import { type ChildThread, THREAD_FIELDS, type ThreadAgent, type ThreadState } from "./state.ts";

/** The session's fold with the thread's own state and agent in place of the primary thread's. */
export interface ThreadFold extends SessionFold {
  thread_id: string;
  /** Null for the primary thread. */
  child: ChildThread | null;
  /** The session itself: what it has spent and how long it has run is not the thread's alone. */
  session: SessionFold;
}

/** @throws Error when the session has no such thread */
export function threadFold(fold: SessionFold, threadId: string): ThreadFold {
  if (threadId === fold.primary_thread_id)
    return { ...fold, ...fold.primary, thread_id: threadId, child: null, session: fold };
  const child = childThread(fold, threadId);
  if (child === undefined) throw new Error(`Session ${fold.session_id} has no thread ${threadId}.`);
  const own = Object.fromEntries(THREAD_FIELDS.map((field) => [field, child[field]])) as unknown as ThreadState;
  // Outcomes are the primary thread's.
  const agent = sessionAgent(child.agent);
  return { ...fold, ...own, outcomes: [], agent, thread_id: threadId, child, session: fold };
}

export function childThread(fold: SessionFold, threadId: string): ChildThread | undefined {
  return fold.threads.find(({ id }) => id === threadId);
}

/** Ids of all threads that are not archived, the primary one first. */
export function liveThreads(fold: SessionFold): string[] {
  const children = fold.threads.filter(({ archived_at }) => archived_at === null);
  return [fold.primary_thread_id, ...children.map(({ id }) => id)];
}

/** An open call with the thread that made it. */
export interface ThreadCall extends OpenCall {
  thread_id: string;
}

/** Tool calls without a result, of all threads that are not archived: those of others nobody will take up again. */
export function openCalls(fold: SessionFold): ThreadCall[] {
  const own = fold.calls.map((call) => ({ ...call, thread_id: fold.primary_thread_id }));
  const live = fold.threads.filter(({ archived_at }) => archived_at === null);
  return [...own, ...live.flatMap(({ id, calls }) => calls.map((call) => ({ ...call, thread_id: id })))];
}

/** A thread's agent in the form of a session's: without a roster of its own (depth 1). */
function sessionAgent(agent: ThreadAgent): SessionAgent {
  if (agent.type === "agent") return { ...agent, multiagent: null };
  if (agent.type === "inline") return { ...agent, type: "agent", id: "", version: 0, multiagent: null };
  return {
    id: "",
    type: "agent",
    version: 0,
    name: "anthropic.advisor",
    description: null,
    model: { id: agent.model, speed: "standard" },
    system: null,
    tools: [],
    mcp_servers: [],
    skills: [],
    multiagent: null,
    execution_identity: { type: "service_account" },
  };
}
