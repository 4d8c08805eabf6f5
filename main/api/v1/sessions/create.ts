/** `POST /v1/sessions`. */
import { parseWith } from "../../../contract/schemas/issues.ts";
import { sessionCreate } from "../../../contract/schemas/sessions.ts";
import { readJson } from "../../http/body.ts";
import type { Api, Deps } from "../../http/context.ts";
import { refuseLaterTypes } from "../events/later.ts";
import { createSession } from "./new_session.ts";
import { apiSession } from "./session.ts";

export function mountSessionCreate(api: Api, deps: Deps): void {
  api.post("/v1/sessions", async (c) => {
    const body = await readJson(c);
    refuseLaterTypes(body, "initial_events");
    const params = parseWith(sessionCreate, body, "The request body");
    const session = apiSession(deps, await createSession(deps, params));
    // The contract creates a session with events directly running; a wake that waits for its turn is that too.
    return c.json((params.initial_events ?? []).length > 0 ? { ...session, status: "running" } : session);
  });
}
