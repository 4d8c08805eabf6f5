/**
 * Skills for clients that ask for the shapes of `skills-2025-10-02`, as SDKs before 1.0 do: other field names, a plain text
 * as source, and versions named beside their id. Only answers are rewritten; every version is addressed by its id.
 */
import type { MiddlewareHandler } from "hono";
import type { ApiEnv } from "./context.ts";

const OLDER = "skills-2025-10-02";

/** To be mounted before the routes of `/v1/skills`. */
export function olderSkills(): MiddlewareHandler<ApiEnv> {
  return async (c, next) => {
    await next();
    const asked = (c.req.header("anthropic-beta") ?? "").split(",").some((beta) => beta.trim() === OLDER);
    if (!asked || !c.res.ok || c.res.headers.get("content-type")?.startsWith("application/json") !== true) return;
    const body = (await c.res.json()) as Answer;
    const data = Array.isArray(body["data"]) ? { data: (body["data"] as Answer[]).map(olderShape) } : {};
    const { status, headers } = c.res;
    headers.delete("content-length");
    c.res = new Response(JSON.stringify({ ...olderShape(body), ...data }), { status, headers });
  };
}

type Answer = Record<string, unknown>;

function olderShape(body: Answer): Answer {
  if (body["type"] === "skill") {
    const { display_name, latest_version_id, source, ...rest } = body;
    const kind = (source as { type?: unknown } | undefined)?.type;
    return { ...rest, display_title: display_name, latest_version: latest_version_id, source: kind ?? "custom" };
  }
  if (body["type"] === "skill_version") return { ...body, version: body["id"], directory: body["name"] };
  return "data" in body ? { ...body, has_more: body["next_page"] !== null } : body;
}
