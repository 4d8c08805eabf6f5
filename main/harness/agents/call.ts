/**
 * Runs the agent tools. Everything that a call does is a list of events that is appended together with its result, so a
 * call that was cut off before the append has done nothing and is simply made again.
 */
import type { EventDraft } from "../../contract/events.ts";
import type { OpenCall } from "../../contract/fold_calls.ts";
import { newId } from "../../contract/ids.ts";
import { type ThreadAgent, threadName } from "../../contract/threads/state.ts";
import type { ThreadFold } from "../../contract/threads/view.ts";
import { clean } from "../context/transcript.ts";
import { type Roster, rosterOf } from "./roster.ts";
import { CONSULT, LIST } from "./tools.ts";

/** Threads that are not archived, the primary one and advisors not counted (contract.md §3.5). */
export const MAX_THREADS = 25;

export interface AgentCall {
  /** What is to be appended, besides the result. */
  events: EventDraft[];
  /** Text of the result; null when a spawned thread will give it. */
  text: string | null;
  is_error: boolean;
}

/** @param spawning threads that other calls of the same round are about to spawn */
export function runAgentCall(fold: ThreadFold, call: OpenCall, input: unknown, spawning: number): AgentCall {
  const wish = typeof input === "object" && input !== null ? (input as Record<string, unknown>) : {};
  if (call.name === LIST) return said(describe(fold));
  if (call.name === CONSULT) return consult(fold, call, wish);
  const message = textOf(wish["message"]);
  if (message === null) return refused("`message` is missing: write the task for the agent.");
  const threadId = textOf(wish["thread_id"]);
  return threadId === null ? spawn(fold, wish, message, spawning) : sendTo(fold, threadId, message);
}

function sendTo(fold: ThreadFold, threadId: string, message: string): AgentCall {
  const child = fold.threads.find(({ id, name }) => id === threadId || name === threadId);
  if (child === undefined) return refused(`There is no thread ${threadId}. ${LIST} names those that are there.`);
  if (child.archived_at !== null) return refused(`The thread ${child.id} was archived and takes no more messages.`);
  if (child.tool_use_id !== null) return refused(`The thread ${child.id} is an advisor's: ask again with ${CONSULT}.`);
  return {
    events: messages(fold, child.id, child.name, message),
    text: `The message was sent to "${child.name}" in thread ${child.id}. Its answer comes as a message.`,
    is_error: false,
  };
}

function spawn(fold: ThreadFold, wish: Record<string, unknown>, message: string, spawning: number): AgentCall {
  const roster = rosterOf(fold);
  const agent = chooseAgent(fold, roster, wish);
  if (typeof agent === "string") return refused(agent);
  const live = fold.threads.filter(({ archived_at, tool_use_id }) => archived_at === null && tool_use_id === null);
  if (live.length + spawning >= MAX_THREADS) {
    return refused(
      `There are ${MAX_THREADS} threads already, which is the limit. Send the task to one that is idle (${LIST} shows them).`,
    );
  }
  const threadId = newId("thread");
  const name = threadName(agent);
  return {
    events: [...created(fold, threadId, agent, null), ...messages(fold, threadId, name, message)],
    text: `"${name}" works on it in thread ${threadId}. Its final message comes back to you as a message.`,
    is_error: false,
  };
}

/** The advisor answers in a thread that ends with its answer; the call's result is that answer. */
function consult(fold: ThreadFold, call: OpenCall, wish: Record<string, unknown>): AgentCall {
  const { advisor } = rosterOf(fold);
  const question = textOf(wish["question"]);
  if (advisor === null) return refused("This agent has no advisor.");
  if (question === null) return refused("`question` is missing: write what you want to know.");
  const threadId = newId("thread");
  const agent: ThreadAgent = { type: "advisor", model: advisor };
  const name = threadName(agent);
  return {
    events: [...created(fold, threadId, agent, call.id), ...messages(fold, threadId, name, question)],
    text: null,
    is_error: false,
  };
}

/** The wanted agent, or words for the model that say why there is none. */
function chooseAgent(fold: ThreadFold, roster: Roster, wish: Record<string, unknown>): ThreadAgent | string {
  const inline = wish["inline_agent"];
  const wanted = textOf(wish["agent"]);
  if (typeof inline === "object" && inline !== null && wanted === null) {
    return roster.inline
      ? inlineAgent(fold, inline as Record<string, unknown>)
      : "This agent may not define agents inline.";
  }
  if (wanted === null) {
    if (roster.agents.length === 1 && !roster.inline && roster.agents[0] !== undefined) return roster.agents[0];
    return `Name the agent in \`agent\`: ${names(roster)}.`;
  }
  const byId = roster.agents.find(({ id }) => id === wanted);
  const byName = roster.agents.filter(({ name }) => name === wanted);
  if (byId !== undefined) return byId;
  if (byName.length > 1)
    return `Several agents are called ${wanted}; use the id: ${byName.map(({ id }) => id).join(", ")}.`;
  return byName[0] ?? `There is no agent ${JSON.stringify(wanted)} here. There are: ${names(roster)}.`;
}

function names(roster: Roster): string {
  return roster.agents.map(({ name }) => JSON.stringify(name)).join(", ") || "none; define one with `inline_agent`";
}

/** It has the tools, skills and model of the agent that defines it. */
function inlineAgent(fold: ThreadFold, wish: Record<string, unknown>): ThreadAgent | string {
  const name = textOf(wish["name"])?.slice(0, 256) ?? null;
  if (name === null) return "`inline_agent.name` is missing.";
  const { model, tools, mcp_servers, skills, execution_identity } = fold.agent;
  return {
    type: "inline",
    name,
    description: textOf(wish["description"])?.slice(0, 2048) ?? null,
    system: textOf(wish["system"])?.slice(0, 100_000) ?? null,
    model,
    tools,
    mcp_servers,
    skills,
    execution_identity,
  };
}

function created(fold: ThreadFold, threadId: string, agent: ThreadAgent, toolUseId: string | null): EventDraft[] {
  return [
    {
      type: "longhaul.thread_created",
      spawned_thread_id: threadId,
      parent_thread_id: fold.thread_id,
      agent,
      tool_use_id: toolUseId,
    },
    {
      type: "session.thread_created",
      // It is the parent's stream that tells of it.
      thread_id: fold.thread_id,
      agent_name: threadName(agent),
      session_thread_id: threadId,
      workflow_run_id: null,
    },
  ];
}

/** From the primary agent, which the contract's messages do not name: no other one spawns threads. */
function messages(fold: ThreadFold, threadId: string, name: string, message: string): EventDraft[] {
  const content = [{ type: "text" as const, text: clean(message) }];
  return [
    { type: "agent.thread_message_sent", to_session_thread_id: threadId, to_agent_name: name, content },
    {
      type: "agent.thread_message_received",
      thread_id: threadId,
      from_session_thread_id: fold.thread_id,
      content,
    },
  ];
}

function describe(fold: ThreadFold): string {
  const roster = rosterOf(fold);
  const agents = roster.agents.map(
    ({ name, id, description }) => `${name} (${id})${description ? `: ${description}` : ""}`,
  );
  if (roster.inline) agents.push("any agent that you define with `inline_agent`");
  const threads = fold.threads
    .filter(({ tool_use_id }) => tool_use_id === null)
    .map(({ id, name, phase, archived_at, last_message_id, stop_reason }) => {
      const state =
        archived_at !== null ? "archived" : phase === "idle" ? idleWords(stop_reason?.type, last_message_id) : phase;
      return `${id} "${name}": ${state}`;
    });
  return `Agents:\n${agents.join("\n") || "none"}\n\nThreads:\n${threads.join("\n") || "none yet"}`;
}

function idleWords(reason: string | undefined, lastMessage: string | null): string {
  if (reason === "requires_action") return "waits for the user";
  if (reason === "retries_exhausted" || reason === "budget_reached") return "stopped before it was done";
  return lastMessage === null ? "waiting" : "idle, it has answered";
}

function textOf(value: unknown): string | null {
  return typeof value === "string" && value.trim() !== "" ? value : null;
}

function said(text: string): AgentCall {
  return { events: [], text, is_error: false };
}

function refused(text: string): AgentCall {
  return { events: [], text, is_error: true };
}
