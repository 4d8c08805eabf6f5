/** `POST /v1/sessions`: everything is checked first, then the session and its first events are stored in one append. */
import type { EventDraft } from "../../../contract/events.ts";
import { newId } from "../../../contract/ids.ts";
import { parseWith } from "../../../contract/schemas/issues.ts";
import { LATER_RESOURCES } from "../../../contract/schemas/resources.ts";
import { sessionCreate } from "../../../contract/schemas/sessions.ts";
import { readJson } from "../../http/body.ts";
import { type Api, type Deps, timestamp } from "../../http/context.ts";
import { existingEnvironment, refuseArchivedEnvironment } from "../environments/routes.ts";
import { draftOf } from "../events/draft.ts";
import { checkContentFiles } from "../events/files.ts";
import { refuseLaterTypes } from "../events/later.ts";
import { refuseMounts } from "./hosted_resources.ts";
import { planResources } from "./resources.ts";
import { apiSession, existingSession } from "./session.ts";
import { resolveAgent } from "./snapshot.ts";

export function mountSessionCreate(api: Api, deps: Deps): void {
  api.post("/v1/sessions", async (c) => {
    const body = await readJson(c);
    refuseLaterTypes(body, "initial_events");
    refuseLaterTypes(body, "resources", LATER_RESOURCES);
    const params = parseWith(sessionCreate, body, "The request body");
    const agent = await resolveAgent(deps, params.agent);
    const environment = await existingEnvironment(deps, params.environment_id);
    refuseArchivedEnvironment(environment);
    if (environment.config.type === "self_hosted") refuseMounts(params.resources ?? []);
    const id = newId("session");
    const planned = await planResources(deps, id, timestamp(deps), params.resources ?? []);
    const events = params.initial_events ?? [];
    for (const [index, event] of events.entries())
      await checkContentFiles(deps, event.content, `initial_events[${index}].content`);

    // Before the session: a copy without a session is swept up later, a session without its file is broken.
    for (const file of planned.files) await deps.catalog.putFile(file);
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
        vault_ids: [],
        budget: null,
        deployment_id: null,
      },
    };
    await deps.ledger.createSession(id, [created, ...events.map(draftOf)]);
    if (events.length > 0) await deps.orchestrator.wake(id, "client_event");
    const session = apiSession(deps, await existingSession(deps, id));
    // The contract creates a session with events directly running; a wake that waits for its turn is that too.
    return c.json(events.length > 0 ? { ...session, status: "running" } : session);
  });
}
