/** Every method of the official SDK against the served product, with its success and its main error paths, for both SDKs. */
import { afterAll, beforeAll, describe } from "vitest";
import { agentFlows } from "./flows/agents.ts";
import { deploymentFlows } from "./flows/deployments.ts";
import { environmentFlows } from "./flows/environments.ts";
import { fileFlows } from "./flows/files.ts";
import { memoryFlows } from "./flows/memory.ts";
import { compactionFlows } from "./flows/sessions/compaction.ts";
import { eventFlows } from "./flows/sessions/events.ts";
import { outcomeFlows } from "./flows/sessions/outcomes.ts";
import { resourceChangeFlows } from "./flows/sessions/resource_changes.ts";
import { sessionResourceFlows } from "./flows/sessions/session_resources.ts";
import { sessionFlows } from "./flows/sessions/sessions.ts";
import { subagentFlows } from "./flows/sessions/subagents.ts";
import { threadFlows } from "./flows/sessions/threads.ts";
import { skillFlows } from "./flows/skills.ts";
import { vaultFlows } from "./flows/vaults.ts";
import { workFlows } from "./flows/work.ts";
import { type Servers, standFor, startServers } from "./stand.ts";

let servers: Servers;
beforeAll(async () => {
  servers = await startServers({ LONGHAUL_COMPACT_AT: "8000", LONGHAUL_VAULT_PASSPHRASE: "contract passphrase" });
});
afterAll(() => servers.stop());

describe.each([
  ["the newest SDK", false],
  ["an older major version", true],
] as const)("%s", (_, older) => {
  const use = () => standFor(servers, older);
  agentFlows(use);
  environmentFlows(use);
  fileFlows(use);
  sessionFlows(use);
  eventFlows(use);
  compactionFlows(use);
  sessionResourceFlows(use);
  threadFlows(use);
  resourceChangeFlows(use);
  subagentFlows(use);
  outcomeFlows(use, !older);
  vaultFlows(use);
  memoryFlows(use);
  skillFlows(use);
  deploymentFlows(use);
  workFlows(use);
});
