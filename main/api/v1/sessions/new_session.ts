/** Makes sessions: everything is checked first, then the session and its first events are stored in one append. */
import type { EventDraft, SessionAgent, SessionResource } from "../../../contract/events.ts";
import { newId } from "../../../contract/ids.ts";
import type { ClientEvent } from "../../../contract/schemas/events.ts";
import type { SessionCreate } from "../../../contract/schemas/sessions.ts";
import { placedSkills } from "../../../contract/skills/session_skills.ts";
import type { Environment, FileRecord } from "../../../session/catalog.ts";
import { type Deps, timestamp } from "../../http/context.ts";
import { pinnedAgent } from "../agents/skills.ts";
import { existingEnvironment, refuseArchivedEnvironment } from "../environments/routes.ts";
import { draftsOf } from "../events/draft.ts";
import { checkInitialSystemMessage } from "../events/input/system_message.ts";
import { checkVaultIds } from "../vaults/references.ts";
import { checkBudgetable } from "./budget.ts";
import { refuseMounts } from "./hosted_resources.ts";
import { planResources } from "./resources.ts";
import { resolveAgent } from "./snapshot.ts";

/** What making a session needs; whoever makes them without a request (deployments) is handed the same. */
export type SessionDeps = Pick<Deps, "ledger" | "catalog" | "blobs" | "records" | "orchestrator" | "prices" | "now">;

/** As a request has it; a deployment's first events may end with a system message. */
export type SessionParams = Omit<SessionCreate, "initial_events"> & {
  initial_events?: readonly ClientEvent[] | undefined;
};

/** Where a session comes from when no request of a client asks for it directly. */
export interface SessionOrigin {
  /** Chosen before, so that an attempt that was cut off can be recognised; default: a new one. */
  id?: string;
  deployment_id?: string;
}

/** A session that is checked and not yet stored. */
export interface SessionPlan {
  id: string;
  agent: SessionAgent;
  environment: Environment;
  /** In the order of the request. */
  resources: SessionResource[];
  /** Copies of uploaded files that the session gets. */
  files: FileRecord[];
  /** `longhaul.session_created`, then the initial events. */
  events: EventDraft[];
}

/**
 * Everything that is checked before a session exists; stores nothing.
 * @throws ApiError 400 that names the field and the fix, 404 for an agent or environment that does not exist
 */
export async function planSession(
  deps: SessionDeps,
  params: SessionParams,
  origin: SessionOrigin = {},
): Promise<SessionPlan> {
  const { agent, found } = await pinnedAgent(deps, await resolveAgent(deps, params.agent));
  const environment = await existingEnvironment(deps, params.environment_id);
  refuseArchivedEnvironment(environment);
  if (environment.config.type === "self_hosted") refuseMounts(params.resources ?? []);
  const id = origin.id ?? newId("session");
  const vault_ids = params.vault_ids ?? [];
  await checkVaultIds(deps.records, vault_ids, "vault_ids");
  if (params.budget != null) checkBudgetable(deps.prices(), agent);
  const planned = await planResources(deps, id, timestamp(deps), params.resources ?? []);
  const initial = params.initial_events ?? [];
  checkInitialSystemMessage(agent, initial);
  const events = await draftsOf(deps, initial, "initial_events");
  const created: EventDraft = {
    type: "longhaul.session_created",
    session: {
      agent,
      environment: {
        id: environment.id,
        name: environment.name,
        config: environment.config,
        metadata: environment.metadata,
      },
      primary_thread_id: newId("thread"),
      title: params.title ?? null,
      metadata: params.metadata ?? {},
      resources: planned.resources,
      vault_ids,
      budget: params.budget ?? null,
      deployment_id: origin.deployment_id ?? null,
      skills: placedSkills(found, { environment, resources: planned.resources }),
    },
  };
  return {
    id,
    agent,
    environment,
    resources: planned.resources,
    files: planned.files,
    events: [created, ...events],
  };
}

/** Stores a planned session durably and wakes it if it has something to do. */
export async function storeSession(deps: SessionDeps, plan: SessionPlan): Promise<void> {
  // Before the session: a copy without a session is swept up later, a session without its file is broken.
  for (const file of plan.files) await deps.catalog.putFile(file);
  await deps.ledger.createSession(plan.id, plan.events);
  if (plan.events.length > 1) await deps.orchestrator.wake(plan.id, "client_event");
}
