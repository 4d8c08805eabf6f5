/** Whom a session's primary thread may give work to, from the agent's resolved `multiagent` configuration. */
import type { SessionAgent } from "../../contract/events.ts";
import type { ThreadAgent } from "../../contract/threads/state.ts";
import type { ThreadFold } from "../../contract/threads/view.ts";

type SavedAgent = Extract<ThreadAgent, { type: "agent" }>;

export interface Roster {
  agents: SavedAgent[];
  /** The agent may define further ones when it spawns a thread. */
  inline: boolean;
  /** Model that may be consulted; null for none. */
  advisor: string | null;
}

const NOBODY: Roster = { agents: [], inline: false, advisor: null };

/** The roster of a thread. Spawned threads have none: their depth is one. */
export function rosterOf(fold: Pick<ThreadFold, "child" | "agent">): Roster {
  return fold.child === null ? rosterOfAgent(fold.agent) : NOBODY;
}

function rosterOfAgent({ multiagent }: SessionAgent): Roster {
  if (multiagent === null) return NOBODY;
  if (multiagent.type === "coordinator") {
    const agents = multiagent.agents.filter((entry): entry is SavedAgent => entry.type === "agent");
    const advisor = multiagent.agents.find((entry) => entry.type === "advisor");
    return { agents, inline: false, advisor: advisor?.type === "advisor" ? advisor.model : null };
  }
  const { subagents, advisor } = multiagent;
  return {
    agents: subagents.type === "enabled" ? subagents.predefined_agents : [],
    inline: subagents.type === "enabled" && subagents.inline_agents.type === "enabled",
    advisor: advisor.type === "enabled" ? advisor.model : null,
  };
}

export function canSpawn(roster: Roster): boolean {
  return roster.agents.length > 0 || roster.inline;
}
