/** The agents, environments and vaults to choose from. */
import type { BetaEnvironment } from "@anthropic-ai/sdk/resources/beta/environments/environments";
import { useEffect, useState } from "react";
import { listConnections } from "../api/connections.ts";
import { type Problem, problemOf } from "../api/problem.ts";
import { isDefaultVault, listAgents, listEnvironments, listVaults } from "../api/sdk.ts";
import { nameOf } from "../connections/words.ts";
import type { Option } from "./form.tsx";

export interface VaultOption {
  id: string;
  name: string;
  /** It is used unless the person says otherwise. */
  byDefault: boolean;
  /** What is in it, in words. */
  holds: string;
}

export interface Lists {
  agents: Option[];
  environments: BetaEnvironment[];
  /** The default one first: where two have a credential for a server, the first one's is used. */
  vaults: VaultOption[];
  loaded: boolean;
}

/** Reads the lists once. `setLists` adds what is made meanwhile. */
export function useLists(): { lists: Lists; setLists: (lists: Lists) => void; problem: Problem | null } {
  const [lists, setLists] = useState<Lists>({ agents: [], environments: [], vaults: [], loaded: false });
  const [problem, setProblem] = useState<Problem | null>(null);
  useEffect(() => {
    Promise.all([listAgents(), listEnvironments(), readVaults()]).then(
      ([agents, environments, vaults]) =>
        setLists({
          agents: agents
            .filter((agent) => agent.metadata.longhaul_default === undefined)
            .map((agent) => ({ value: agent.id, label: agent.name, note: agent.model.id })),
          environments,
          vaults,
          loaded: true,
        }),
      (error: unknown) => setProblem(problemOf(error)),
    );
  }, []);
  return { lists, setLists, problem };
}

/** Vaults that hold something. */
export async function readVaults(): Promise<VaultOption[]> {
  const [vaults, { data }] = await Promise.all([listVaults(), listConnections()]);
  return vaults
    .map((vault) => ({
      id: vault.id,
      name: vault.display_name,
      byDefault: isDefaultVault(vault),
      holds: data
        .filter((connection) => connection.vault.id === vault.id)
        .map(nameOf)
        .join(", "),
    }))
    .filter(({ holds }) => holds !== "")
    .sort((a, b) => Number(b.byDefault) - Number(a.byDefault));
}

/** The vaults of a new session: those that the person chose last, else the default one. */
export function chosenVaults(vaults: readonly VaultOption[], remembered: readonly string[] | null): string[] {
  return vaults
    .filter(({ id, byDefault }) => (remembered === null ? byDefault : remembered.includes(id)))
    .map(({ id }) => id);
}
