/** `POST /v1/sessions`. */
import { parseWith } from "../../../contract/schemas/issues.ts";
import { METADATA_CODES } from "../../../contract/schemas/primitives.ts";
import { sessionCreate } from "../../../contract/schemas/sessions.ts";
import { readJson } from "../../http/body.ts";
import { type Api, type Deps, timestamp } from "../../http/context.ts";
import { forgetTokens, keepToken } from "../vaults/repository_tokens.ts";
import { planSession, type SessionPlan, storeSession } from "./new_session.ts";
import { apiSession, existingSession } from "./session.ts";

export function mountSessionCreate(api: Api, deps: Deps): void {
  api.post("/v1/sessions", async (c) => {
    const body = await readJson(c);
    const params = parseWith(sessionCreate, body, "The request body", METADATA_CODES);
    const plan = await planSession(deps, params);
    try {
      await keepTokens(deps, plan, body);
      await storeSession(deps, plan);
    } catch (error) {
      // A session that never came to be must leave no token; what cannot be forgotten now is forgotten at the next start.
      await forgetTokens(deps, plan.id).catch(() => undefined);
      throw error;
    }
    const session = await apiSession(deps, await existingSession(deps, plan.id));
    // The contract creates a session with events directly running; a wake that waits for its turn is that too.
    return c.json((params.initial_events ?? []).length > 0 ? { ...session, status: "running" } : session);
  });
}

/** Seals the tokens of repositories before the session is there: one without its token could not be told from one that needs none. */
async function keepTokens(deps: Deps, { id, resources }: SessionPlan, body: unknown): Promise<void> {
  const given = (body as { resources?: { authorization_token?: string | null }[] }).resources ?? [];
  for (const [index, resource] of resources.entries()) {
    const token = given[index]?.authorization_token;
    if (resource.type !== "github_repository" || token == null || token === "") continue;
    const place = { id: resource.id, session_id: id, url: resource.url, created_at: timestamp(deps) };
    await keepToken(deps, place, token);
  }
}
