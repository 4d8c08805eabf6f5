/** The agents and environments to choose from. */
import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import { useEffect, useState } from "react";
import { type Problem, problemOf } from "../api/problem.ts";
import { listAgents, listEnvironments } from "../api/sdk.ts";
import type { Option } from "./form.tsx";

export interface Lists {
  agents: Option[];
  environments: BetaEnvironment[];
  loaded: boolean;
}

/** Reads both lists once. `setLists` adds what is made meanwhile. */
export function useLists(): { lists: Lists; setLists: (lists: Lists) => void; problem: Problem | null } {
  const [lists, setLists] = useState<Lists>({ agents: [], environments: [], loaded: false });
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    Promise.all([listAgents(), listEnvironments()]).then(
      ([agents, environments]) =>
        setLists({
          agents: agents
            .filter((agent) => agent.metadata.longhaul_default === undefined)
            .map((agent) => ({ value: agent.id, label: agent.name, note: agent.model.id })),
          environments,
          loaded: true,
        }),
      (error: unknown) => setProblem(problemOf(error)),
    );
  }, []);
  return { lists, setLists, problem };
}
