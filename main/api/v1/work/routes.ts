/** `/v1/environments/{id}/work`: the queue of sessions that a `self_hosted` environment's workers serve. */
import { invalid, notFound } from "../../../contract/errors.ts";
import { workStop, workUpdate } from "../../../contract/schemas/work.ts";
import type { WorkItem } from "../../../workers/port.ts";
import { readBody, readOptionalBody } from "../../http/body.ts";
import { type Api, type ApiContext, type Deps, param } from "../../http/context.ts";
import { decodeCursor, pageOf, rowCursor } from "../../http/cursor.ts";
import { pageLimit, Query } from "../../http/query.ts";
import { patchedMetadata } from "../agents/agent.ts";
import { existingEnvironment } from "../environments/routes.ts";
import { apiHeartbeat, apiWork, orRefusal, workSecret } from "./work.ts";

const MAX_BLOCK_MS = 999;
const DEFAULT_RECLAIM_MS = 5_000;
const MAX_RECLAIM_MS = 24 * 3_600_000;
const MAX_TTL_SECONDS = 999_999;
const MAX_WORKER_ID = 256;
const CODES = { metadata: "invalid_metadata" };
const WORK = "/v1/environments/:environment/work";

export function mountWork(api: Api, deps: Deps): void {
  const { work } = deps;

  api.get(`${WORK}/poll`, async (c) => {
    const { id } = await hostedEnvironment(deps, c);
    const query = new Query(c);
    const worker_id = c.req.header("anthropic-worker-id")?.slice(0, MAX_WORKER_ID) ?? null;
    const polled = await work.poll(id, {
      block_ms: query.integer("block_ms", 1, MAX_BLOCK_MS) ?? 0,
      reclaim_older_than_ms: query.integer("reclaim_older_than_ms", 0, MAX_RECLAIM_MS) ?? DEFAULT_RECLAIM_MS,
      worker_id: worker_id === "" ? null : worker_id,
      signal: c.req.raw.signal,
    });
    if (polled === null) return c.json(null);
    const secret = workSecret(polled.token, `http://${c.req.header("host")}`);
    return c.json(apiWork(polled.item, secret), 200, { "cache-control": "no-store" });
  });

  api.get(`${WORK}/stats`, async (c) => {
    const { id } = await hostedEnvironment(deps, c);
    return c.json({ type: "work_queue_stats", ...(await work.stats(id)) });
  });

  api.get(WORK, async (c) => {
    const { id } = await hostedEnvironment(deps, c);
    const query = new Query(c);
    const limit = pageLimit(query);
    const page = query.text("page");
    const items = await work.list(id, {
      limit: limit + 1,
      ...(page === undefined ? {} : { after: decodeCursor(rowCursor, page) }),
    });
    const { data, next_page } = pageOf(items, limit);
    return c.json({ data: data.map((item) => apiWork(item)), next_page });
  });

  api.get(`${WORK}/:work`, async (c) => c.json(apiWork(await existingWork(deps, c))));

  api.post(`${WORK}/:work`, async (c) => {
    const item = await existingWork(deps, c);
    const patch = (await readBody(c, workUpdate, CODES)).metadata;
    return c.json(apiWork(await orRefusal(work.setMetadata(item, (before) => patchedMetadata(before, patch)))));
  });

  api.post(`${WORK}/:work/ack`, async (c) => c.json(apiWork(await orRefusal(work.ack(await existingWork(deps, c))))));

  api.post(`${WORK}/:work/heartbeat`, async (c) => {
    const item = await existingWork(deps, c);
    const query = new Query(c);
    const answer = await orRefusal(
      work.heartbeat(item, {
        expected: query.text("expected_last_heartbeat") ?? null,
        desired_ttl_seconds: query.integer("desired_ttl_seconds", 1, MAX_TTL_SECONDS) ?? null,
        token: tokenOf(c),
      }),
    );
    return c.json(apiHeartbeat(answer));
  });

  api.post(`${WORK}/:work/stop`, async (c) => {
    const item = await existingWork(deps, c);
    const { force } = await readOptionalBody(c, workStop);
    const by = c.get("caller").kind === "api_key" ? "person" : "worker";
    return c.json(apiWork(await orRefusal(work.stop(item, { force: force ?? false, by, token: tokenOf(c) }))));
  });
}

/** Hash of the item token that the request came with; null for other credentials. */
function tokenOf(c: ApiContext): string | null {
  const caller = c.get("caller");
  return caller.kind === "item_token" ? caller.hash : null;
}

/** @throws ApiError 404 when it does not exist, 400 when it is run here and has no queue */
async function hostedEnvironment(deps: Deps, c: ApiContext): Promise<{ id: string }> {
  const { id, config } = await existingEnvironment(deps, param(c, "environment"));
  if (config.type === "self_hosted") return { id };
  return invalid(`Environment ${id} is a ${config.type} environment and has no work queue. Create a self_hosted one.`);
}

/** @throws ApiError 404 */
async function existingWork(deps: Deps, c: ApiContext): Promise<WorkItem> {
  const id = param(c, "work");
  const environment = await existingEnvironment(deps, param(c, "environment"));
  return (await deps.work.get(environment.id, id)) ?? notFound("Work item", id);
}
